// Values assigned to options by the rules at the top of config.h, and the flags they come from.
#include "perceive/core/config.h"

#include <algorithm>
#include <optional>
#include <string_view>

#include "perceive/core/error.h"
#include "perceive/core/number.h"
#include "perceive/core/text.h"

namespace perceive::core {
namespace {

using Kind = Value::Kind;
using Style = Value::Style;

// How a value is named in a message.
std::string described(const Value& value) {
  if (value.kind == Kind::null) return "null";
  if (value.kind == Kind::list) return "a list";
  if (value.kind == Kind::map) return "a mapping";
  if (value.style == Style::bare) return "a flag without a value";
  return (value.style == Style::quoted ? "the quoted text " : "") + in_quotes(value.text);
}

bool is_null(const Value& value) {
  if (value.kind == Kind::null) return true;
  if (value.kind != Kind::scalar || value.style == Style::quoted || value.style == Style::bare) return false;
  constexpr std::string_view kWords[] = {"null", "Null", "NULL", "none", "None", "~"};
  return std::find(std::begin(kWords), std::end(kWords), value.text) != std::end(kWords);
}

// Assigns one value to one option, and the values inside of it to the options inside.
class Assigner {
 public:
  explicit Assigner(OptionRef root) : root_(root) {}

  void assign(OptionRef option, const Value& value, const std::string& path) const {
    std::visit([&](auto target) { set(target, value, path); }, option.value);
  }

 private:
  [[noreturn]] static void fail(const Origin& origin, const std::string& message) {
    throw ConfigError(origin.text() + ": " + message);
  }
  static std::string named(const std::string& path) { return path.empty() ? "the configuration" : path; }
  [[noreturn]] static void expected(const std::string& what, const Value& value, const std::string& path,
                                    const std::string& advice = "") {
    // "--lr.x=5" where lr is a number: the part of the name that is too much is what to complain about.
    if (value.kind == Kind::map && !value.entries.empty()) {
      const Value::Entry& entry = value.entries.front();
      fail(entry.origin, path + "." + entry.key + " is not an option; " + path + " expects " + what);
    }
    const std::string more = value.style == Style::bare ? "write --" + path + "=VALUE" : advice;
    fail(value.origin, path + " expects " + what + ", got " + described(value) + (more.empty() ? "" : "; " + more));
  }

  static void set(bool* option, const Value& value, const std::string& path) {
    if (value.kind == Kind::scalar && value.style == Style::bare) {
      *option = true;
      return;
    }
    if (value.kind != Kind::scalar || value.style == Style::quoted) expected("true or false", value, path);
    if (value.text != "true" && value.text != "false") {
      std::string word = value.text;
      std::transform(word.begin(), word.end(), word.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; });
      const bool means_true = word == "true" || word == "yes" || word == "on" || word == "y" || word == "1";
      const bool means_false = word == "false" || word == "no" || word == "off" || word == "n" || word == "0";
      expected("true or false", value, path, means_true ? "write true" : means_false ? "write false" : "");
    }
    *option = value.text == "true";
  }

  static void set(int64_t* option, const Value& value, const std::string& path) {
    set_number(option, "a whole number", value, path);
  }

  static void set(double* option, const Value& value, const std::string& path) {
    // JSON has no infinity and no NaN; to_json writes them as texts.
    Value number = value;
    const bool stands_for_itself = value.text == "inf" || value.text == "-inf" || value.text == "nan";
    if (value.style == Style::quoted && stands_for_itself) number.style = Style::plain;
    set_number(option, "a number", number, path);
  }

  template <class T>
  static void set_number(T* option, const std::string& what, const Value& value, const std::string& path) {
    if (value.kind != Kind::scalar || value.style == Style::bare) expected(what, value, path);
    if (value.style == Style::quoted) expected(what, value, path, "remove the quotes");
    const NumberResult result = read_number(value.text, option);
    if (!result.ok) expected(what, value, path, result.advice);
  }

  static void set(std::string* option, const Value& value, const std::string& path) {
    if (value.kind == Kind::null) {
      expected("a text", value, path, "write \"\" for an empty one, or \"null\" if that text is meant");
    }
    if (value.kind != Kind::scalar || value.style == Style::bare) expected("a text", value, path);
    *option = value.text;
  }

  static void set(EnumRef option, const Value& value, const std::string& path) {
    const auto names = option.type->names();
    const std::string what = "one of " + join(names);
    if (value.kind != Kind::scalar || value.style == Style::bare) expected(what, value, path);
    const auto found = std::find(names.begin(), names.end(), value.text);
    if (found == names.end()) {
      const std::string near = nearest(value.text, names);
      expected(what, value, path, near.empty() ? "" : "did you mean " + near + "?");
    }
    option.type->set(option.object, static_cast<size_t>(found - names.begin()));
  }

  void set(OptionalRef option, const Value& value, const std::string& path) const {
    if (is_null(value)) {
      option.type->reset(option.object);
      return;
    }
    const bool is_new = !option.type->has_value(option.object);
    const OptionRef inner = option.type->value(option.object);
    if (const auto* choice = std::get_if<ClassRef>(&inner.value)) {
      set_class(*choice, value, path, !is_new);
    } else {
      assign(inner, value, path);
    }
  }

  void set(ListRef option, const Value& given, const std::string& path) const {
    const Value value = opened(given);
    if (value.kind != Kind::list) expected("a list such as [1, 2]", value, path);
    option.type->clear(option.object);
    for (size_t i = 0; i < value.items.size(); ++i) {
      const OptionRef item = option.type->append(option.object);
      const std::string item_path = path + "[" + std::to_string(i) + "]";
      if (const auto* choice = std::get_if<ClassRef>(&item.value)) {
        set_class(*choice, value.items[i], item_path, false);
      } else {
        assign(item, value.items[i], item_path);
      }
    }
  }

  void set(OneOrManyRef option, const Value& given, const std::string& path) const {
    const Value value = opened(given);
    option.type->choose(option.object, value.kind == Kind::list);
    assign(option.type->get(option.object), value, path);
  }

  void set(GroupRef option, const Value& given, const std::string& path) const {
    const Value value = opened(given);
    if (value.kind == Kind::null) return;  // a heading with nothing below it
    const auto fields = option.type->fields(option.object);
    if (value.kind != Kind::map) {
      const std::string example = fields.empty() || path.empty() ? "" : ", such as " + path + "." + fields[0].name;
      fail(value.origin,
           named(path) + " is a group of options, got " + described(value) + "; set them one by one" + example);
    }
    for (const Value::Entry& entry : value.entries) assign_field(fields, entry, path, "");
  }

  void set(ClassRef option, const Value& value, const std::string& path) const { set_class(option, value, path, true); }

  // `has_class`: whether the class that is selected was chosen, by a default or by the user.
  void set_class(ClassRef option, const Value& given, const std::string& path, bool has_class) const {
    const Value value = opened(given);
    if (value.kind == Kind::scalar) {
      select(option, value, path, has_class);
      return;
    }
    const auto names = option.type->names();
    if (value.kind != Kind::map) expected(class_list(names), value, path);
    for (const Value::Entry& entry : value.entries) {
      if (entry.key != "class_path") continue;
      select(option, entry.value, path, has_class);
      has_class = true;
    }
    if (!has_class) {
      fail(value.origin, path + " has no class yet that could have options; choose " + class_list(names) +
                             " first, such as " + path + "=" + names[0][0]);
    }
    const auto group = std::get<GroupRef>(option.type->options(option.object).value);
    const auto fields = group.type->fields(group.object);
    const std::string& class_name = names[option.type->selected(option.object)][0];
    for (const Value::Entry& entry : value.entries) {
      if (entry.key == "class_path") continue;
      if (entry.key != "init_args") {
        assign_field(fields, entry, path, class_name);
        continue;
      }
      const Value arguments = opened(entry.value);
      if (arguments.kind == Kind::null) continue;
      if (arguments.kind != Kind::map) {
        fail(arguments.origin,
             path + ".init_args expects a mapping of options of " + class_name + ", got " + described(arguments));
      }
      for (const Value::Entry& argument : arguments.entries) assign_field(fields, argument, path, class_name);
    }
  }

  static std::string class_list(const std::vector<std::vector<std::string>>& names) {
    std::vector<std::string> first;
    for (const auto& each : names) first.push_back(each.front());
    return "one of " + join(first);
  }

  static void select(ClassRef option, const Value& value, const std::string& path, bool has_class) {
    const auto names = option.type->names();
    if (value.kind != Kind::scalar || value.style == Style::bare) expected(class_list(names), value, path);
    const std::string name = value.text.substr(value.text.rfind('.') + 1);
    const auto known_as = [&](const auto& each) { return std::find(each.begin(), each.end(), name) != each.end(); };
    const auto found = std::find_if(names.begin(), names.end(), known_as);
    if (found == names.end()) {
      std::vector<std::string> all;
      for (const auto& each : names) all.insert(all.end(), each.begin(), each.end());
      const std::string near = nearest(name, all);
      expected(class_list(names), value, path, near.empty() ? "" : "did you mean " + near + "?");
    }
    const auto index = static_cast<size_t>(found - names.begin());
    if (!has_class || index != option.type->selected(option.object)) option.type->select(option.object, index);
  }

  void assign_field(const std::vector<OptionField>& fields, const Value::Entry& entry, const std::string& path,
                    const std::string& class_name) const {
    const std::string prefix = path.empty() ? "" : path + ".";
    for (const OptionField& field : fields) {
      if (field.name == entry.key) return assign(field.value, entry.value, prefix + entry.key);
    }
    std::vector<std::string> names;
    for (const OptionField& field : fields) names.emplace_back(field.name);
    const std::string shown = entry.key.size() > 60 ? in_quotes(entry.key) : entry.key;
    std::string advice = names.empty() ? "there are none" : "the options here are " + join(names);
    if (const std::string near = nearest(entry.key, names); !near.empty()) {
      advice = "did you mean " + prefix + near + "?";
    } else if (const auto line = find_elsewhere(entry.key)) {
      advice = line->path == prefix + entry.key ? "it is one of " + line->of_class : "did you mean " + line->path + "?";
    }
    fail(entry.origin,
         prefix + shown + " is not an option" + (class_name.empty() ? "" : " of " + class_name) + "; " + advice);
  }

  // An option with such a last name anywhere: "max_steps" was meant as trainer.max_steps.
  std::optional<OptionLine> find_elsewhere(const std::string& key) const {
    const auto last = [](const std::string& path) { return path.substr(path.rfind('.') + 1); };
    const auto lines = list_options(root_);
    std::vector<std::string> names;
    for (const OptionLine& line : lines) names.push_back(last(line.path));
    const std::string name = nearest(key, names);
    if (name.empty()) return std::nullopt;
    return lines[static_cast<size_t>(std::find(names.begin(), names.end(), name) - names.begin())];
  }

  // A flag's "[1, 2]" and "{lr: 0.1}" as the list and the mapping they spell.
  static Value opened(const Value& value) {
    const bool is_text = value.kind == Kind::scalar && value.style == Style::flag;
    if (!is_text || !(value.text.starts_with('[') || value.text.starts_with('{'))) return value;
    return parse_flag_value(value);
  }

  OptionRef root_;
};

// One flag as the mapping {a: {b: value}} that "--a.b" stands for.
Value nested(const std::string& name, Value value) {
  std::vector<std::string> parts{""};
  for (const char c : name) {
    if (c == '.') {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  const Origin origin = value.origin;
  if (parts.size() > static_cast<size_t>(kConfigDepth) || std::count(parts.begin(), parts.end(), "")) {
    throw ConfigError(in_quotes(*origin.source) +
                      " is not an option; options look like --name=VALUE or --group.name=VALUE");
  }
  for (auto part = parts.rbegin(); part != parts.rend(); ++part) {
    Value map;
    map.kind = Kind::map;
    map.origin = origin;
    map.entries.push_back({*part, origin, std::move(value)});
    value = std::move(map);
  }
  return value;
}

}  // namespace

std::vector<Value> read_arguments(const std::vector<std::string>& arguments) {
  std::vector<Value> values;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    if (first_invalid_utf8(argument) != std::string::npos) {
      throw ConfigError("the argument " + in_quotes(argument) + " is not UTF-8");
    }
    if (!argument.starts_with("--")) {
      throw ConfigError("unexpected argument " + in_quotes(argument) +
                        "; options look like --name=VALUE or --group.name=VALUE");
    }
    const size_t equals = argument.find('=');
    const std::string name = argument.substr(2, equals == std::string::npos ? equals : equals - 2);
    Value value;
    value.kind = Kind::scalar;
    value.style = Style::flag;
    std::string source = argument;
    if (equals != std::string::npos) {
      value.text = argument.substr(equals + 1);
    } else if (i + 1 < arguments.size() && !arguments[i + 1].starts_with("--")) {
      value.text = arguments[++i];
      source += " " + value.text;
    } else {
      value.style = Style::bare;
    }
    if (first_invalid_utf8(value.text) != std::string::npos) {
      throw ConfigError("the value of --" + name + " is not UTF-8: " + in_quotes(value.text));
    }
    if (name == "config") {
      if (value.text.empty()) throw ConfigError("--config expects the name of a file");
      values.push_back(read_yaml(value.text));
      continue;
    }
    value.origin.source = std::make_shared<const std::string>(std::move(source));
    values.push_back(nested(name, std::move(value)));
  }
  return values;
}

void assign(OptionRef options, const Value& value) {
  Assigner(options).assign(options, value, "");
}

}  // namespace perceive::core
