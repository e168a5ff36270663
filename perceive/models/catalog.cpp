// All model classes, by name.
#include "perceive/models/catalog.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "perceive/core/config.h"
#include "perceive/core/error.h"
#include "perceive/core/text.h"
#include "perceive/io/names.h"
#include "perceive/models/dialects/flash_perceiver/classes.h"
#include "perceive/models/dialects/linformer/classes.h"
#include "perceive/models/dialects/linformer_pytorch/classes.h"
#include "perceive/models/dialects/perceiver_io/classes.h"
#include "perceive/models/dialects/perceiver_pytorch/classes.h"
#include "perceive/models/dialects/zeta/classes.h"
#include "perceive/models/linformer_classes.h"
#include "perceive/models/native_classes.h"

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

std::string version_of(const ModelClass& model, const nlohmann::json& description, const std::string& origin) {
  if (!description.contains("version") || description.at("version").is_null()) return model.versions.front();
  const auto& given = description.at("version");
  const auto version = given.is_string() ? given.get<std::string>() : given.dump();
  if (std::find(model.versions.begin(), model.versions.end(), version) == model.versions.end()) {
    throw core::ConfigError(fmt::format("{}: version: {} is known here as of {}; got {}", origin, model.name,
                                        core::join(model.versions), core::in_quotes(version)));
  }
  return version;
}

}  // namespace

const std::vector<ModelClass>& model_classes() {
  static const std::vector<ModelClass> all = [] {
    std::vector<ModelClass> classes;
    for (const auto& dialect :
         {native_classes(), linformer_classes(), flash_perceiver::classes(), perceiver_pytorch::classes(),
          perceiver_io::classes(), linformer_pytorch::classes(), linformer::classes(), zeta::classes()}) {
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

LoadedModel load_model(const nlohmann::json& description, const std::string& origin, const io::Tensors* weights,
                       const std::string& weights_origin) {
  const auto fail = [&](const std::string& what) { throw core::ConfigError(origin + ": " + what); };
  if (!description.is_object() || !description.contains("class") || !description.at("class").is_string()) {
    fail("expected an object with a \"class\", such as {\"class\": \"perceiver_pytorch.Perceiver\", \"args\": {…}}");
  }
  const std::vector<std::string> known{"class", "version", "args", "args_forward", "train"};
  for (const auto& [key, value] : description.items()) {
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    const auto near = core::nearest(key, known);
    fail(fmt::format("{} is not known here{}; a model has {}", core::in_quotes(key),
                     near.empty() ? "" : ", did you mean " + near + "?", core::join(known)));
  }
  const auto object = [&](const char* key) {
    const auto found = description.find(key);
    if (found == description.end() || found->is_null()) return nlohmann::json::object();
    if (!found->is_object()) fail(fmt::format("{}: expected an object of arguments by name", key));
    return *found;
  };
  LoadedModel result;
  result.model_class = &find_class(description.at("class").get<std::string>());
  result.version = version_of(*result.model_class, description, origin);
  const bool train = description.contains("train") && description.at("train").is_boolean() && description.at("train");
  if (description.contains("train") && !description.at("train").is_boolean()) fail("train: expected true or false");

  // Those of the originals may come from Lightning; the native classes have names of their own.
  std::optional<io::Tensors> inner;
  if (weights && !result.model_class->name.starts_with("perceive."))
    weights = &inner.emplace(io::without_wrapper(*weights));

  const auto arguments = result.model_class->arguments();
  core::assign(arguments->options(), core::value_of(as_configuration(object("args")), origin + ": args"));
  try {
    result.model = arguments->make(result.version, weights);
  } catch (const core::ConfigError& error) {
    fail(std::string("args: ") + error.what());
  }
  core::assign(result.model->flags(), core::value_of(object("args_forward"), origin + ": args_forward"));
  if (weights) {
    result.dtype = io::precision(*weights);
    result.model->module().to(result.dtype.value_or(at::kFloat));
    result.notices = result.model->load(*weights, weights_origin);
  }
  result.model->module().train(train);
  return result;
}

}  // namespace perceive::models
