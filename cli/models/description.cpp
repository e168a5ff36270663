// What --model names.
#include "cli/models/description.h"

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "perceive/core/error.h"
#include "perceive/core/json.h"
#include "perceive/io/files.h"
#include "perceive/train/run_folder.h"

namespace perceive::cli {
namespace {

namespace fs = std::filesystem;

// By what a task calls its model.
const std::map<std::string, std::string> kTaskModels{{"ImageClassifier", "perceiver_io.image_classifier"},
                                                     {"TextClassifier", "perceiver_io.text_classifier"},
                                                     {"MaskedLanguageModel", "perceiver_io.masked_lm"},
                                                     {"PerceiverIO", "perceive.PerceiverIO"},
                                                     {"Linformer", "perceive.LinformerLM"}};
// What a task's model has besides its class's arguments.
const std::set<std::string> kTaskArguments{"mlm_ckpt",        "clf_ckpt", "freeze_encoder", "masked_samples",
                                           "num_predictions", "prompts",  "generate"};
// A model of clm, which has one class only, so that its arguments stand there without a class.
constexpr const char* kOnlyOfClm = "prompts";

nlohmann::json of_checkpoint(const fs::path& folder) {
  const auto file = folder / "state.json";
  const auto state = core::parse_json(io::read_file(file), file.string());
  const auto fail = [&](const std::string& what) -> nlohmann::json {
    throw core::FileError(file.string() + ": " + what);
  };
  if (!state.contains("config") || !state.at("config").contains("model")) return fail("says of no model");
  auto model = state.at("config").at("model");
  if (model.contains(kOnlyOfClm)) model = {{"class_path", "Linformer"}, {"init_args", model}};
  if (!model.contains("class_path")) return fail("config.model has no class_path");
  const auto known = kTaskModels.find(model.at("class_path").get<std::string>());
  if (known == kTaskModels.end()) return fail("config.model is of no class that can be run by itself");
  auto arguments = model.value("init_args", nlohmann::json::object());
  for (const auto& name : kTaskArguments) arguments.erase(name);
  return {{"class", known->second}, {"args", arguments}};
}

}  // namespace

std::pair<nlohmann::json, std::string> describe_model(const std::string& model,
                                                      const std::optional<std::string>& weights) {
  std::error_code error;
  if (fs::is_directory(model, error)) {
    const auto folder = train::find_checkpoint(model, fs::path("."));
    return {of_checkpoint(folder), weights.value_or((folder / "model.safetensors").string())};
  }
  if (!weights) throw core::ConfigError("--weights is missing: the weights of " + model);
  return {core::parse_json(io::read_file(model), model), *weights};
}

}  // namespace perceive::cli
