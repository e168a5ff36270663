// What a configuration file or a flag says, before any type is known, and where it says it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace perceive::core {

// Where a value was written.
struct Origin {
  std::shared_ptr<const std::string> source;  // a file as the user named it, or the text of a flag
  int64_t line = 0, column = 0;               // from 1 in a file; 0 for a flag

  std::string text() const;  // "run.yaml:3:5", "--optimizer.lr=1e-3"
};

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

inline constexpr int64_t kConfigBytes = 1 << 20;  // of a file
inline constexpr int64_t kConfigNodes = 100'000;  // scalars, lists and maps, aliases expanded
inline constexpr int64_t kConfigDepth = 64;

// All of these throw ConfigError with the place and the reason. Refused are duplicate keys, tags, several documents,
// text that is not UTF-8, and what exceeds the limits above.

// A mapping in YAML (or JSON); empty text is an empty one.
Value parse_yaml(const std::string& text, const std::string& source);
Value read_yaml(const std::filesystem::path& file);
// The list or mapping that a flag's value spells: "[1, 2]", "{lr: 0.1}".
Value parse_flag_value(const Value& flag);
Value value_of(const nlohmann::json& json, const std::string& source);

}  // namespace perceive::core
