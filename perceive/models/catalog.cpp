// All model classes, by name.
#include "perceive/models/catalog.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "perceive/core/config.h"
#include "perceive/core/error.h"
#include "perceive/core/text.h"
#include "perceive/models/dialects/flash_perceiver/classes.h"

namespace perceive::models {
namespace {

// Configurations call a class and its arguments class_path and init_args.
nlohmann::json as_configuration(const nlohmann::json& value) {
  if (value.is_array()) {
    auto list = nlohmann::json::array();
    for (const auto& item : value) list.push_back(as_configuration(item));
    return list;
  }
  if (!value.is_object()) return value;
  const bool is_class = value.contains("class");
  auto object = nlohmann::json::object();
  for (const auto& [key, item] : value.items()) {
    const auto name = is_class && key == "class" ? "class_path" : is_class && key == "args" ? "init_args" : key;
    object[name] = as_configuration(item);
  }
  return object;
}

}  // namespace

const std::vector<ModelClass>& model_classes() {
  static const std::vector<ModelClass> all = [] {
    std::vector<ModelClass> classes;
    for (const auto& dialect : {flash_perceiver::classes()}) {
      classes.insert(classes.end(), dialect.begin(), dialect.end());
    }
    return classes;
  }();
  return all;
}

const ModelClass& find_class(const std::string& name) {
  std::vector<std::string> names;
  for (const auto& each : model_classes()) {
    if (each.name == name) return each;
    names.push_back(each.name);
  }
  const auto near = core::nearest(name, names);
  throw core::ConfigError(fmt::format("there is no model class {}{}; `perceive models` lists them",
                                      core::in_quotes(name), near.empty() ? "" : ", did you mean " + near + "?"));
}

ModelSpec read_spec(const nlohmann::json& spec, const std::string& origin) {
  const auto fail = [&](const std::string& what) { throw core::ConfigError(origin + ": " + what); };
  if (!spec.is_object() || !spec.contains("class") || !spec.at("class").is_string()) {
    fail("expected an object with a \"class\", such as {\"class\": \"perceiver_pytorch.Perceiver\", \"args\": {…}}");
  }
  ModelSpec result;
  result.model_class = &find_class(spec.at("class").get<std::string>());
  const auto& versions = result.model_class->versions;
  result.version = versions.front();
  if (spec.contains("version") && !spec.at("version").is_null()) {
    if (!spec.at("version").is_string()) fail("version: expected a text such as \"" + versions.front() + "\"");
    result.version = spec.at("version").get<std::string>();
    if (std::find(versions.begin(), versions.end(), result.version) == versions.end()) {
      fail(fmt::format("version: {} is known in the version{} {}; got {}", result.model_class->name,
                       versions.size() > 1 ? "s" : "", fmt::join(versions, ", "), core::in_quotes(result.version)));
    }
  }
  result.arguments = result.model_class->arguments();
  const auto args = spec.value("args", nlohmann::json::object());
  if (!args.is_object()) fail("args: expected an object of the class's arguments by name");
  core::assign(result.arguments->options(), core::value_of(as_configuration(args), origin + ": args"));
  return result;
}

}  // namespace perceive::models
