// All model classes, by name.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "perceive/models/model_class.h"

namespace perceive::models {

const std::vector<ModelClass>& model_classes();
// Throws core::ConfigError that names the nearest one.
const ModelClass& find_class(const std::string& name);

// A model as a file describes it:
//
//   {"class": "flash_perceiver.Perceiver", "version": "0.2.0", "args": {…}, "args_forward": {…}, "train": false}
//
// All but the class may be left out. A model in an argument is given in the same way, by class and args.
struct LoadedModel {
  const ModelClass* model_class = nullptr;
  std::string version;
  std::unique_ptr<RunnableModel> model;  // in evaluation mode unless "train" is true
  std::vector<std::string> notices;      // for the user, on what was converted
  std::optional<at::ScalarType> dtype;   // of the weights; nothing without any, or where none holds real numbers
};
// Makes the model, takes the flags of forward(), and loads `weights`, where given, in whose precision it then computes:
// float64 where a tensor of them is, float32 otherwise. Throws core::ConfigError, said to be in `origin`, and
// core::FileError for weights, said to come from `weights_origin`.
LoadedModel load_model(const nlohmann::json& description, const std::string& origin,
                       const io::Tensors* weights = nullptr, const std::string& weights_origin = "");

}  // namespace perceive::models
