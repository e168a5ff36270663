// Configuration, strict and from left to right: defaults, then files and flags in the order given.
//
//   TaskOptions options;
//   core::assign(options, core::read_arguments({"--config", "run.yaml", "--optimizer=AdamW", "--optimizer.lr=1e-3"}));
//   check(options);
//   fmt::print("{}", core::to_yaml(options));
//
// How a text becomes a value is decided by the type of the option it is for, never by YAML:
//   bool      true, false
//   int64_t   50000, 5e4, 1_000, 50000.0, -1; nothing with a fraction, a leading zero (octal elsewhere), or 0x
//   double    the same and 0.5, .5, 1e-3, inf, -inf, nan (also as .inf, .nan)
//   text      as it stands; from a file, null must be quoted
//   enum      one of its names
//   optional  null, none, ~ for no value
//   list      [a, b]; a later list replaces an earlier one
//   one or many  a value, or a list of them
//   group     a mapping, merged key by key
//   class     its name (the last part of a dotted one counts), or {class_path: NAME, init_args: {…}}, or the options of
//             the class chosen before. Another class starts from its defaults; the same one again keeps its options.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <utility>
#include <vector>

#include "perceive/core/options.h"
#include "perceive/core/value.h"

namespace perceive::core {

// Every error is a ConfigError that says where (file, line and column, or the flag), which option, what was expected
// and what came.

// One value for each `--config FILE`, `--a.b=VALUE`, `--a.b VALUE` and bare `--a.b`, in the order given.
std::vector<Value> read_arguments(const std::vector<std::string>& arguments);

// Sets what `value` names and leaves the rest.
void assign(OptionRef options, const Value& value);

// These leave `options` as they were where they throw.
template <Visitable T>
void assign(T& options, const std::vector<Value>& values) {
  T result = options;
  for (const Value& value : values) assign(reflect(result), value);
  options = std::move(result);
}
template <Visitable T>
void assign_json(T& options, const nlohmann::json& json, const std::string& source) {
  assign(options, {value_of(json, source)});
}

}  // namespace perceive::core
