// What --model names.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <utility>

namespace perceive::cli {

// The description of the model (models/catalog.h) and its weights file: of a JSON file and --weights, or of a run's
// folder or a checkpoint, which hold both. Throws core::ConfigError and core::FileError.
std::pair<nlohmann::json, std::string> describe_model(const std::string& model,
                                                      const std::optional<std::string>& weights);

}  // namespace perceive::cli
