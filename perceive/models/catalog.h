// All model classes, by name.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "perceive/models/model_class.h"

namespace perceive::models {

const std::vector<ModelClass>& model_classes();
// Throws core::ConfigError that names the nearest one.
const ModelClass& find_class(const std::string& name);

// {"class": "flash_perceiver.Perceiver", "version": "0.2.0", "args": {…}}; version and args may be left out.
struct ModelSpec {
  const ModelClass* model_class = nullptr;
  std::string version;
  std::unique_ptr<ModelArguments> arguments;
};
// Throws core::ConfigError, said to be in `origin`. A model in an argument is given like the whole, by class and args.
ModelSpec read_spec(const nlohmann::json& spec, const std::string& origin);

}  // namespace perceive::models
