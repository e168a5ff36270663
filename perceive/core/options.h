// Options structs seen as data: one visit() per struct serves flags, YAML, JSON, help and equality.
//
//   struct MlpOptions {
//     int64_t width = 256;
//     double dropout = 0.0;
//   };
//   template <class Visitor>
//   void visit(MlpOptions& o, Visitor&& field) {
//     field("width", o.width, "hidden features");
//     field("dropout", o.dropout, "probability of dropping a hidden feature");
//   }
//
// A member is a bool, int64_t, double, std::string, an enum class with enum_names(), another options struct, a
// std::variant of options structs (a choice of class; each has `static constexpr const char* kName` and, where it is
// known by other names too, `static constexpr std::array kAliases{"…"}`), or a std::optional, std::vector or OneOrMany
// of these.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <initializer_list>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace perceive::core {

struct FieldProbe {
  template <class T>
  void operator()(const char*, T&, const char*) const {}
};
// A struct with a visit() in its own namespace.
template <class T>
concept Visitable = std::is_class_v<T> && requires(T& options) {
  visit(options, FieldProbe{});
};
// An enum class with a constexpr enum_names(E) in its own namespace.
template <class T>
concept NamedEnum = std::is_enum_v<T> && requires(T value) {
  enum_names(value);
};

// An option that takes one value, or a list of them: input_dim = 64 or [64, 128].
template <class T>
struct OneOrMany {
  T one{};
  std::deque<T> many;  // not a vector: one of bool has no elements to refer to
  bool is_list = false;

  OneOrMany() = default;
  OneOrMany(T value) : one(value) {}
  OneOrMany(std::initializer_list<T> values) : many(values), is_list(true) {}
};

// ---- The same, without templates: a reference to one option of any of the types above.

struct OptionRef;
struct OptionField;
using OptionUser = std::function<void(OptionRef)>;

struct EnumRef {
  void* object;
  struct Type {
    std::vector<std::string> (*names)();
    size_t (*get)(const void*);
    void (*set)(void*, size_t);
  } * type;
};
struct OptionalRef {
  void* object;
  struct Type {
    bool (*has_value)(const void*);
    void (*reset)(void*);
    OptionRef (*value)(void*);          // made from its default where there is none
    void (*sample)(const OptionUser&);  // a default value, for as long as the call lasts
  } * type;
};
struct ListRef {
  void* object;
  struct Type {
    size_t (*size)(const void*);
    void (*clear)(void*);
    OptionRef (*at)(void*, size_t);
    OptionRef (*append)(void*);
    void (*sample)(const OptionUser&);
  } * type;
};
struct GroupRef {
  void* object;
  struct Type {
    std::vector<OptionField> (*fields)(void*);
  } * type;
};
struct ClassRef {
  void* object;
  struct Type {
    std::vector<std::vector<std::string>> (*names)();  // of each class: its name, then its aliases
    size_t (*selected)(const void*);
    OptionRef (*options)(void*);    // of the selected class
    void (*select)(void*, size_t);  // with its defaults, even where it is selected already
    void (*sample)(size_t, const OptionUser&);
  } * type;
};

struct OneOrManyRef {
  void* object;
  struct Type {
    OptionRef (*get)(void*);      // the one, or the list
    void (*choose)(void*, bool);  // whether it is a list from now on
    void (*sample)(const OptionUser&);
  } * type;
};

struct OptionRef {
  std::variant<bool*, int64_t*, double*, std::string*, EnumRef, OptionalRef, ListRef, GroupRef, ClassRef, OneOrManyRef>
      value;
};
struct OptionField {
  const char* name;
  OptionRef value;
  const char* help;
};

template <class T>
OptionRef reflect(T& option);

// ---- What every options struct gets from its visit().

struct OptionLine {
  std::string path;      // "optimizer.lr"
  std::string type;      // "int", "float or null", "[int]", "relu | gelu", …
  std::string value;     // as the struct at hand has it
  std::string help;      // its line from visit()
  std::string of_class;  // where it belongs to one class of a choice: that class's name
};
// Every option, in order, with those of every class of a choice.
std::vector<OptionLine> list_options(OptionRef options);

// YAML that reads back as the same options and prints as the same text; help lines as comments where asked for.
std::string to_yaml(OptionRef options, bool comments = false);
// An object; infinities and NaN become the strings "inf", "-inf" and "nan". Read back by assign_json (config.h).
nlohmann::json to_json(OptionRef options);
bool same(OptionRef a, OptionRef b);

template <Visitable T>
std::vector<OptionLine> list_options(const T& options) {
  return list_options(reflect(const_cast<T&>(options)));
}
template <Visitable T>
std::string to_yaml(const T& options, bool comments = false) {
  return to_yaml(reflect(const_cast<T&>(options)), comments);
}
template <Visitable T>
auto to_json(const T& options) {
  return to_json(reflect(const_cast<T&>(options)));
}
// NaN equals NaN here, so that options always equal their own copy.
template <Visitable T>
bool same(const T& a, const T& b) {
  return same(reflect(const_cast<T&>(a)), reflect(const_cast<T&>(b)));
}

// ---- From a type to its reference.

namespace detail {

template <class T>
T& as(void* object) {
  return *static_cast<T*>(object);
}
template <class T>
const T& as(const void* object) {
  return *static_cast<const T*>(object);
}
template <class T>
void sample(const OptionUser& use) {
  T value{};
  use(reflect(value));
}

template <class E>
EnumRef reflect_enum(E& option) {
  static EnumRef::Type type{
      .names =
          [] {
            std::vector<std::string> names;
            for (const auto& [value, name] : enum_names(E{})) names.emplace_back(name);
            return names;
          },
      .get =
          [](const void* object) {
            size_t index = 0;
            for (const auto& [value, name] : enum_names(E{})) {
              if (value == as<E>(object)) break;
              ++index;
            }
            return index;
          },
      .set = [](void* object, size_t index) { as<E>(object) = enum_names(E{})[index].first; },
  };
  return {&option, &type};
}

template <class T>
OptionalRef reflect_optional(std::optional<T>& option) {
  using Optional = std::optional<T>;
  static OptionalRef::Type type{
      .has_value = [](const void* object) { return as<Optional>(object).has_value(); },
      .reset = [](void* object) { as<Optional>(object).reset(); },
      .value =
          [](void* object) {
            auto& optional = as<Optional>(object);
            if (!optional) optional.emplace();
            return reflect(*optional);
          },
      .sample = sample<T>,
  };
  return {&option, &type};
}

template <class List>
ListRef reflect_sequence(List& option) {
  static ListRef::Type type{
      .size = [](const void* object) { return as<List>(object).size(); },
      .clear = [](void* object) { as<List>(object).clear(); },
      .at = [](void* object, size_t index) { return reflect(as<List>(object)[index]); },
      .append = [](void* object) { return reflect(as<List>(object).emplace_back()); },
      .sample = sample<typename List::value_type>,
  };
  return {&option, &type};
}
template <class T>
ListRef reflect_list(std::vector<T>& option) {
  static_assert(!std::is_same_v<T, bool>, "std::vector<bool> has no elements to refer to");
  return reflect_sequence(option);
}
template <class T>
ListRef reflect_list(std::deque<T>& option) {
  return reflect_sequence(option);
}

template <class T>
OneOrManyRef reflect_one_or_many(OneOrMany<T>& option) {
  using Either = OneOrMany<T>;
  static OneOrManyRef::Type type{
      .get =
          [](void* object) {
            auto& either = as<Either>(object);
            return either.is_list ? reflect(either.many) : reflect(either.one);
          },
      .choose = [](void* object, bool list) { as<Either>(object).is_list = list; },
      .sample = sample<T>,
  };
  return {&option, &type};
}

struct FieldCollector {
  std::vector<OptionField>& fields;
  template <class T>
  void operator()(const char* name, T& option, const char* help) const {
    fields.push_back({name, reflect(option), help});
  }
};

template <class T>
GroupRef reflect_group(T& option) {
  static GroupRef::Type type{
      .fields =
          [](void* object) {
            std::vector<OptionField> fields;
            visit(as<T>(object), FieldCollector{fields});
            return fields;
          },
  };
  return {&option, &type};
}

template <class T>
std::vector<std::string> class_names() {
  std::vector<std::string> names{T::kName};
  if constexpr (requires { T::kAliases; }) names.insert(names.end(), T::kAliases.begin(), T::kAliases.end());
  return names;
}

template <class... Ts>
ClassRef reflect_class(std::variant<Ts...>& option) {
  using Choice = std::variant<Ts...>;
  static_assert((Visitable<Ts> && ...), "each class of a choice is an options struct");
  static ClassRef::Type type{
      .names = [] { return std::vector<std::vector<std::string>>{class_names<Ts>()...}; },
      .selected = [](const void* object) { return as<Choice>(object).index(); },
      .options =
          [](void* object) { return std::visit([](auto& options) { return reflect(options); }, as<Choice>(object)); },
      .select =
          [](void* object, size_t index) {
            size_t i = 0;
            ((i++ == index ? void(as<Choice>(object) = Ts{}) : void()), ...);
          },
      .sample =
          [](size_t index, const OptionUser& use) {
            size_t i = 0;
            ((i++ == index ? sample<Ts>(use) : void()), ...);
          },
  };
  return {&option, &type};
}

template <class T>
constexpr bool unsupported = false;

}  // namespace detail

template <class T>
OptionRef reflect(T& option) {
  if constexpr (std::is_same_v<T, bool> || std::is_same_v<T, int64_t> || std::is_same_v<T, double> ||
                std::is_same_v<T, std::string>) {
    return {&option};
  } else if constexpr (NamedEnum<T>) {
    return {detail::reflect_enum(option)};
  } else if constexpr (Visitable<T>) {
    return {detail::reflect_group(option)};
  } else if constexpr (requires { detail::reflect_optional(option); }) {
    return {detail::reflect_optional(option)};
  } else if constexpr (requires { detail::reflect_list(option); }) {
    return {detail::reflect_list(option)};
  } else if constexpr (requires { detail::reflect_one_or_many(option); }) {
    return {detail::reflect_one_or_many(option)};
  } else if constexpr (requires { detail::reflect_class(option); }) {
    return {detail::reflect_class(option)};
  } else {
    static_assert(detail::unsupported<T>, "an option of this type cannot be read or printed; see the top of options.h");
  }
}

}  // namespace perceive::core
