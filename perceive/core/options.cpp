// Printing and listing of any options struct, over its reflection.
#include "perceive/core/options.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string_view>

#include "perceive/core/error.h"
#include "perceive/core/text.h"

namespace perceive::core {
namespace {

template <class... Fs>
struct Overload : Fs... {
  using Fs::operator()...;
};
template <class... Fs>
Overload(Fs...) -> Overload<Fs...>;

std::string enum_name(EnumRef option) {
  return option.type->names().at(option.type->get(option.object));
}
std::string class_name(ClassRef option) {
  return option.type->names().at(option.type->selected(option.object)).front();
}
std::vector<OptionField> fields_of(OptionRef option) {
  const auto group = std::get<GroupRef>(option.value);
  return group.type->fields(group.object);
}
std::vector<OptionField> fields_of(ClassRef option) {
  return fields_of(option.type->options(option.object));
}

// An empty optional stays one; any other is what it holds.
OptionRef unwrap(OptionRef option) {
  if (const auto* either = std::get_if<OneOrManyRef>(&option.value)) return unwrap(either->type->get(either->object));
  const auto* optional = std::get_if<OptionalRef>(&option.value);
  if (!optional || !optional->type->has_value(optional->object)) return option;
  return unwrap(optional->type->value(optional->object));
}

// ---- YAML

// Always with a point or as .inf or .nan, so that other readers of YAML also see a float.
std::string yaml_float(double number) {
  if (std::isnan(number)) return ".nan";
  if (std::isinf(number)) return number > 0 ? ".inf" : "-.inf";
  std::string text = shortest(number);
  if (text.find('.') == std::string::npos) text.insert(std::min(text.find('e'), text.size()), ".0");
  return text;
}

// Whether every reader of YAML takes `text` as it stands for a text, in a flow list too.
bool is_plain(std::string_view text) {
  static const std::vector<std::string_view> kWords{"true", "false", "yes", "no",  "on", "off",
                                                    "null", "none",  "nan", "inf", "y",  "n"};
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  if (text.empty() || !(letter(text[0]) || text[0] == '/')) return false;
  std::string lower;
  for (const char c : text) {
    if (!letter(c) && !(c >= '0' && c <= '9') && std::string_view("-./+").find(c) == std::string_view::npos) {
      return false;
    }
    lower += c >= 'A' && c <= 'Z' ? static_cast<char>(c + 'a' - 'A') : c;
  }
  return std::find(kWords.begin(), kWords.end(), lower) == kWords.end();
}

std::string yaml_text(std::string_view text) {
  if (is_plain(text)) return std::string(text);
  if (first_invalid_utf8(text) != std::string_view::npos) {
    throw ConfigError("the option " + in_quotes(text) + " cannot be printed: it is not UTF-8");
  }
  // Line breaks and marks outside ASCII, which a reader would fold or drop.
  static constexpr std::pair<std::string_view, std::string_view> kEscapes[] = {
      {"\"", "\\\""},        {"\\", "\\\\"},        {"\n", "\\n"},         {"\t", "\\t"},
      {"\u0085", "\\u0085"}, {"\u2028", "\\u2028"}, {"\u2029", "\\u2029"}, {"\uFEFF", "\\uFEFF"}};
  std::string result = "\"";
  while (!text.empty()) {
    const auto* escape = std::find_if(std::begin(kEscapes), std::end(kEscapes),
                                      [&](const auto& each) { return text.starts_with(each.first); });
    const auto byte = static_cast<unsigned char>(text[0]);
    if (escape != std::end(kEscapes)) {
      result += escape->second;
      text.remove_prefix(escape->first.size());
    } else if (byte < 0x20 || byte == 0x7F) {
      constexpr char kDigits[] = "0123456789ABCDEF";
      result += {'\\', 'x', kDigits[byte >> 4], kDigits[byte & 15]};
      text.remove_prefix(1);
    } else {
      result += text[0];
      text.remove_prefix(1);
    }
  }
  return result + '"';
}

// On one line: numbers and texts as they stand, lists and groups in brackets and braces.
std::string flow(OptionRef option);

std::string flow(const std::vector<OptionField>& fields) {
  std::vector<std::string> parts;
  for (const OptionField& field : fields) parts.push_back(std::string(field.name) + ": " + flow(field.value));
  return "{" + join(parts) + "}";
}

std::string flow(OptionRef option) {
  return std::visit(Overload{
                        [](const bool* value) -> std::string { return *value ? "true" : "false"; },
                        [](const int64_t* value) { return std::to_string(*value); },
                        [](const double* value) { return yaml_float(*value); },
                        [](const std::string* value) { return yaml_text(*value); },
                        [](EnumRef value) { return yaml_text(enum_name(value)); },
                        [](OptionalRef value) -> std::string {
                          return value.type->has_value(value.object) ? flow(value.type->value(value.object)) : "null";
                        },
                        [](ListRef list) {
                          std::vector<std::string> parts;
                          for (size_t i = 0; i < list.type->size(list.object); ++i) {
                            parts.push_back(flow(list.type->at(list.object, i)));
                          }
                          return "[" + join(parts) + "]";
                        },
                        [](OneOrManyRef either) { return flow(either.type->get(either.object)); },
                        [](GroupRef group) { return flow(group.type->fields(group.object)); },
                        [](ClassRef choice) {
                          const auto fields = fields_of(choice);
                          const std::string name = yaml_text(class_name(choice));
                          return fields.empty() ? name : "{class_path: " + name + ", init_args: " + flow(fields) + "}";
                        },
                    },
                    option.value);
}

void write_block(const std::vector<OptionField>& fields, const std::string& indent, bool comments, std::string* out) {
  for (const OptionField& field : fields) {
    if (comments) *out += indent + "# " + field.help + "\n";
    *out += indent + field.name + ":";
    const OptionRef option = unwrap(field.value);
    const auto* group = std::get_if<GroupRef>(&option.value);
    const auto* choice = std::get_if<ClassRef>(&option.value);
    const auto inner = group ? fields_of(option) : choice ? fields_of(*choice) : std::vector<OptionField>{};
    if (inner.empty()) {
      *out += " " + flow(option) + "\n";
    } else if (group) {
      *out += "\n";
      write_block(inner, indent + "  ", comments, out);
    } else {
      *out += "\n" + indent + "  class_path: " + yaml_text(class_name(*choice)) + "\n" + indent + "  init_args:\n";
      write_block(inner, indent + "    ", comments, out);
    }
  }
}

// ---- JSON

nlohmann::json json_of(const std::vector<OptionField>& fields) {
  auto object = nlohmann::json::object();
  for (const OptionField& field : fields) object[field.name] = to_json(field.value);
  return object;
}

// ---- Listing

std::string type_name(OptionRef option) {
  return std::visit(
      Overload{
          [](const bool*) -> std::string { return "bool"; },
          [](const int64_t*) -> std::string { return "int"; },
          [](const double*) -> std::string { return "float"; },
          [](const std::string*) -> std::string { return "text"; },
          [](EnumRef value) { return join(value.type->names(), " | "); },
          [](OptionalRef value) {
            std::string name;
            value.type->sample([&](OptionRef inner) { name = type_name(inner) + " or null"; });
            return name;
          },
          [](ListRef value) {
            std::string name;
            value.type->sample([&](OptionRef inner) { name = "[" + type_name(inner) + "]"; });
            return name;
          },
          [](OneOrManyRef value) {
            std::string name;
            value.type->sample([&](OptionRef inner) { name = type_name(inner) + " or [" + type_name(inner) + "]"; });
            return name;
          },
          [](GroupRef) -> std::string { return "group"; },
          [](ClassRef value) {
            std::vector<std::string> names;
            for (const auto& each : value.type->names()) names.push_back(each.front());
            return join(names, " | ");
          },
      },
      option.value);
}

void list_fields(const std::vector<OptionField>& fields, const std::string& prefix, const std::string& of_class,
                 std::vector<OptionLine>* lines);

// What stands below an option of its own line: the fields of a group, or of each class of a choice.
void list_below(OptionRef option, const std::string& prefix, const std::string& of_class,
                std::vector<OptionLine>* lines) {
  if (std::holds_alternative<GroupRef>(option.value)) {
    list_fields(fields_of(option), prefix, of_class, lines);
  } else if (const auto* choice = std::get_if<ClassRef>(&option.value)) {
    const auto names = choice->type->names();
    for (size_t i = 0; i < names.size(); ++i) {
      const auto list = [&](OptionRef options) { list_fields(fields_of(options), prefix, names[i].front(), lines); };
      if (i == choice->type->selected(choice->object)) {
        list(choice->type->options(choice->object));
      } else {
        choice->type->sample(i, list);
      }
    }
  } else if (const auto* optional = std::get_if<OptionalRef>(&option.value)) {
    const auto list = [&](OptionRef inner) { list_below(inner, prefix, of_class, lines); };
    if (optional->type->has_value(optional->object)) {
      list(optional->type->value(optional->object));
    } else {
      optional->type->sample(list);
    }
  }
}

void list_fields(const std::vector<OptionField>& fields, const std::string& prefix, const std::string& of_class,
                 std::vector<OptionLine>* lines) {
  for (const OptionField& field : fields) {
    const std::string path = prefix + field.name;
    const OptionRef option = unwrap(field.value);
    std::string value;
    if (const auto* choice = std::get_if<ClassRef>(&option.value)) {
      value = class_name(*choice);
    } else if (!std::holds_alternative<GroupRef>(option.value)) {
      value = flow(option);
    }
    lines->push_back({path, type_name(field.value), value, field.help, of_class});
    list_below(field.value, path + ".", of_class, lines);
  }
}

}  // namespace

std::vector<OptionLine> list_options(OptionRef options) {
  std::vector<OptionLine> lines;
  list_fields(fields_of(options), "", "", &lines);
  return lines;
}

std::string to_yaml(OptionRef options, bool comments) {
  std::string text;
  write_block(fields_of(options), "", comments, &text);
  return text;
}

nlohmann::json to_json(OptionRef option) {
  using nlohmann::json;
  return std::visit(
      Overload{
          [](const bool* value) -> json { return *value; },
          [](const int64_t* value) -> json { return *value; },
          [](const double* value) -> json { return std::isfinite(*value) ? json(*value) : json(shortest(*value)); },
          [](const std::string* value) -> json { return *value; },
          [](EnumRef value) -> json { return enum_name(value); },
          [](OptionalRef value) -> json {
            return value.type->has_value(value.object) ? to_json(value.type->value(value.object)) : json(nullptr);
          },
          [](ListRef list) -> json {
            auto array = json::array();
            for (size_t i = 0; i < list.type->size(list.object); ++i) {
              array.push_back(to_json(list.type->at(list.object, i)));
            }
            return array;
          },
          [](OneOrManyRef either) -> json { return to_json(either.type->get(either.object)); },
          [](GroupRef group) -> json { return json_of(group.type->fields(group.object)); },
          [](ClassRef choice) -> json {
            return {{"class_path", class_name(choice)}, {"init_args", json_of(fields_of(choice))}};
          },
      },
      option.value);
}

bool same(OptionRef a, OptionRef b) {
  return to_yaml(a) == to_yaml(b);
}

}  // namespace perceive::core
