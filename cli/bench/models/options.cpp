// From options to a model and its input.
#include "cli/bench/models/options.h"

#include <fmt/format.h>

#include "cli/bench/models/presets.h"
#include "perceive/core/config.h"
#include "perceive/core/error.h"
#include "perceive/core/json.h"
#include "perceive/core/memory.h"
#include "perceive/io/files.h"

namespace perceive::cli::bench {
namespace {

constexpr int64_t kMostThreads = 4096;

void require(const std::optional<int64_t>& value, const char* option) {
  if (value && *value < 1) throw core::ConfigError(fmt::format("--{} expects at least 1, got {}", option, *value));
}

std::string preset_name(Preset preset) {
  for (const auto& [value, name] : enum_names(preset)) {
    if (value == preset) return name;
  }
  return "";
}

// Puts what was asked for into the arguments, and gives what they then hold.
std::optional<int64_t> argument(nlohmann::json& args, const std::string& path, const std::optional<int64_t>& wanted,
                                const char* option, Preset preset) {
  if (path.empty()) {
    if (!wanted) return std::nullopt;
    throw core::ConfigError(fmt::format("--{}: the preset {} has no such argument", option, preset_name(preset)));
  }
  const nlohmann::json::json_pointer place(path);
  if (wanted) args[place] = *wanted;
  if (args[place].is_number_integer()) return args[place].get<int64_t>();
  throw core::ConfigError(fmt::format("--args: {} expects a whole number, got {}", path.substr(1), args[place].dump()));
}

nlohmann::json arguments_of(const std::string& text) {
  nlohmann::json args;
  try {
    args = core::parse_json(text, "--args");
  } catch (const core::FileError& error) {
    throw core::ConfigError(error.what());
  }
  if (!args.is_object()) throw core::ConfigError("--args expects a JSON object of arguments, got " + text);
  return args;
}

Workload of_file(const ModelOptions& options) {
  for (const auto& [given, option] : {std::pair<bool, const char*>{options.batch.has_value(), "batch"},
                                      {options.depth.has_value(), "depth"},
                                      {options.latents.has_value(), "latents"},
                                      {options.length.has_value(), "length"},
                                      {options.args != "{}", "args"}}) {
    if (given) throw core::ConfigError(fmt::format("--{} is for presets; {} says it all", option, *options.model));
  }
  if (!options.inputs) throw core::ConfigError("--inputs is missing: a safetensors file of the model's inputs");
  return {.description = core::parse_json(io::read_file(*options.model), *options.model), .origin = *options.model};
}

}  // namespace

const char* name_of(Pass pass) {
  for (const auto& [value, name] : enum_names(pass)) {
    if (value == pass) return name;
  }
  return "";
}

std::vector<std::string> words_of(const ModelOptions& options) {
  std::vector<std::string> words;
  const auto object = core::to_json(options);
  for (const auto& [name, value] : object.items()) {
    if (value.is_null()) continue;
    words.push_back(fmt::format("--{}={}", name, value.is_string() ? value.get<std::string>() : value.dump()));
  }
  return words;
}

Workload workload_of(const ModelOptions& options) {
  require(options.batch, "batch");
  require(options.depth, "depth");
  require(options.latents, "latents");
  require(options.length, "length");
  require(options.threads, "threads");
  if (options.threads.value_or(1) > kMostThreads) {
    throw core::ConfigError(fmt::format("--threads expects at most {}, got {}", kMostThreads, *options.threads));
  }
  if (options.model) return of_file(options);
  if (options.weights || options.inputs) {
    throw core::ConfigError("--weights and --inputs belong to a --model; a preset makes its own");
  }
  const auto& recipe = recipe_of(options.preset);
  if (!recipe.any_length && options.length.value_or(recipe.length) != recipe.length) {
    throw core::ConfigError(fmt::format("--length: the preset {} has {} rows, got {}", preset_name(options.preset),
                                        recipe.length, *options.length));
  }
  Workload work{.description = nlohmann::json::parse(recipe.model),
                .origin = "--preset=" + preset_name(options.preset),
                .input = recipe.input,
                .length = options.length.value_or(recipe.length),
                .batch = options.batch.value_or(recipe.batch)};
  auto& args = work.description["args"];
  for (const char* path : recipe.lengths) args[nlohmann::json::json_pointer(path)] = *work.length;
  args.merge_patch(arguments_of(options.args));
  work.depth = argument(args, recipe.depth, options.depth, "depth", options.preset);
  work.latents = argument(args, recipe.latents, options.latents, "latents", options.preset);
  work.sizes = {*work.batch, *work.length};
  work.sizes.insert(work.sizes.end(), recipe.item.begin(), recipe.item.end());
  double bytes = sizeof(float);
  for (const int64_t size : work.sizes) bytes *= static_cast<double>(size);
  core::require_memory(bytes, "an input of these sizes");
  return work;
}

}  // namespace perceive::cli::bench
