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
//   group     a mapping, merged key by key
//   class     its name (the last part of a dotted one counts), or {class_path: NAME, init_args: {…}}, or the options of
//             the class chosen before. Another class starts from its defaults; the same one again keeps its options.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <utility>
#include <vector>

#include "perceive/core/error.h"
#include "perceive/core/options.h"

namespace perceive::core {

// Where a value was written.
struct Origin {
  std::shared_ptr<const std::string> source;  // a file as the user named it, or the text of a flag
  int64_t line = 0, column = 0;               // from 1 in a file; 0 for a flag

  std::string text() const;  // "run.yaml:3:5", "--optimizer.lr=1e-3"
};

// What a file or a flag says, before any type is known.
struct Value {
  enum class Kind { null, scalar, list, map };
  // Of a scalar: plain or quoted in a file, the value of a flag (a list or a map in it is read once an option asks for
  // one), or a flag without a value.
  enum class Style { plain, quoted, flag, bare };
  struct Entry;

  Kind kind = Kind::null;
  Style style = Style::plain;
  std::string text;            // scalar
  std::vector<Value> items;    // list
  std::vector<Entry> entries;  // map, in the order written, no key twice
  Origin origin;
};
struct Value::Entry {
  std::string key;
  Origin origin;
  Value value;
};

inline constexpr int64_t kConfigBytes = 16 << 20;  // of a file
inline constexpr int64_t kConfigNodes = 100'000;   // scalars, lists and maps, aliases expanded
inline constexpr int64_t kConfigDepth = 64;

// Every error below is a ConfigError that says where (file, line and column, or the flag), which key, what was expected
// and what came.

// A mapping in YAML (or JSON); empty text is an empty one. Refuses duplicate keys, tags, several documents, text that
// is not UTF-8, tabs as indentation, and what exceeds the limits above.
Value parse_yaml(const std::string& text, const std::string& source);
Value read_yaml(const std::filesystem::path& file);
Value value_of(const nlohmann::json& json, const std::string& source);

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
