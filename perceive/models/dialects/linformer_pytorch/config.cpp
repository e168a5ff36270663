// What the arguments of linformer-pytorch mean, and what is wrong with them.
#include "perceive/models/dialects/linformer_pytorch/config.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "perceive/core/error.h"
#include "perceive/core/text.h"
#include "perceive/nn/checks.h"

namespace perceive::models::linformer_pytorch {
namespace {

template <class Enum, size_t N>
Enum named(const std::string& name, const std::array<std::pair<const char*, Enum>, N>& all, const char* message) {
  for (const auto& [known, value] : all) {
    if (name == known) return value;
  }
  throw core::ConfigError(message + ("; got " + core::in_quotes(name)));
}

}  // namespace

Activation activation_of(const std::string& name) {
  return named<Activation, 2>(name, {{{"gelu", Activation::gelu}, {"relu", Activation::relu}}},
                              "activation: Only gelu and relu activations supported for now");
}

CheckpointLevel checkpoint_level_of(const std::string& name) {
  using Level = CheckpointLevel;
  return named<Level, 3>(name, {{{"C0", Level::C0}, {"C1", Level::C1}, {"C2", Level::C2}}},
                         "checkpoint_level: Checkpoint level has to be either C0, C1, or C2");
}

ParameterSharing parameter_sharing_of(const std::string& name) {
  using Sharing = ParameterSharing;
  return named<Sharing, 4>(name,
                           {{{"none", Sharing::none},
                             {"headwise", Sharing::headwise},
                             {"kv", Sharing::kv},
                             {"layerwise", Sharing::layerwise}}},
                           "The `parameter_sharing` flag has to be either 'none', 'headwise', 'kv', or 'layerwise'");
}

Method method_of(const std::string& name) {
  return named<Method, 3>(
      name,
      {{{"learnable", Method::learnable}, {"convolution", Method::convolution}, {"no_params", Method::no_params}}},
      "The method flag needs to be either 'learnable', 'convolution', or 'no_params'!");
}

std::string name_of(Method method) {
  return method == Method::learnable ? "learnable" : method == Method::convolution ? "convolution" : "no_params";
}

TruncatedLinformerConfig truncated(const LinformerConfig& config) {
  const std::vector<std::string> later{"parameter_sharing",    "k_reduce_by_layer", "full_attention", "include_ff",
                                       "w_o_intermediate_dim", "decoder_mode",      "causal",         "method",
                                       "ff_intermediate"};
  const auto given = core::to_json(config), defaults = core::to_json(LinformerConfig());
  for (const auto& name : later) {
    if (given.at(name) != defaults.at(name))
      throw core::ConfigError(name + ": linformer-pytorch 0.1.0 has no such argument");
  }
  TruncatedLinformerConfig result;
  result.input_size = config.input_size.value_or(result.input_size);
  result.channels = config.channels.value_or(result.channels);
  result.dim_k = config.dim_k.value_or(result.dim_k);
  result.dim_ff = config.dim_ff;
  result.dim_d = config.dim_d.value_or(result.dim_d);
  result.dropout_ff = config.dropout_ff;
  result.nhead = config.nhead;
  result.depth = config.depth;
  result.dropout = config.dropout;
  result.activation = config.activation;
  result.checkpoint_level = config.checkpoint_level;
  return result;
}

void check(const TruncatedLinformerConfig& config) {
  activation_of(config.activation);
  checkpoint_level_of(config.checkpoint_level);
  for (const auto& [key, value] : {std::pair{"input_size", config.input_size},
                                   {"channels", config.channels},
                                   {"dim_k", config.dim_k},
                                   {"dim_ff", config.dim_ff},
                                   {"dim_d", config.dim_d},
                                   {"nhead", config.nhead},
                                   {"depth", config.depth}}) {
    nn::require_at_least(key, value, 1);
  }
  nn::require_dropout("dropout", config.dropout);
  nn::require_dropout("dropout_ff", config.dropout_ff);
}

void check(const LinformerConfig& config) {
  const auto refuse = [](const char* message) { throw core::ConfigError(message); };
  activation_of(config.activation);
  checkpoint_level_of(config.checkpoint_level);
  const auto sharing = parameter_sharing_of(config.parameter_sharing);
  method_of(config.method);
  for (const auto& [key, value] :
       {std::pair{"input_size", config.input_size}, {"channels", config.channels}, {"dim_k", config.dim_k}}) {
    if (!value) throw core::ConfigError(std::string(key) + " is missing");
    nn::require_at_least(key, *value, 1);
  }
  nn::require_at_least("nhead", config.nhead, 1);
  nn::require_at_least("depth", config.depth, 1);
  nn::require_at_least("dim_ff", config.dim_ff, 1);
  nn::require_at_least("dim_d", config.dim_d.value_or(1), 1);
  nn::require_at_least("w_o_intermediate_dim", config.w_o_intermediate_dim.value_or(1), 1);
  nn::require_at_least("ff_intermediate", config.ff_intermediate.value_or(1), 1);
  nn::require_dropout("dropout", config.dropout);
  nn::require_dropout("dropout_ff", config.dropout_ff);
  if (!config.dim_d && *config.channels % config.nhead != 0) {
    refuse("If `dim_d` is not set to a custom value, `channels` must be divisible by `nhead`!");
  }
  if (!config.ff_intermediate) return;
  if (sharing == ParameterSharing::layerwise) {
    refuse("Parameter sharing must not be layerwise if ff_intermediate is enabled!");
  }
  if (config.decoder_mode) refuse("Raising the dimension in the middle cannot be done in the decoder!");
  if (!config.include_ff && config.depth > 1) {
    refuse("ff_intermediate: without include_ff nothing would change the number of channels");
  }
}

LinformerLMConfig::LinformerLMConfig() {
  dim_ff = 1024;
  dropout_ff = 0.1;
  depth = 2;
  dropout = 0.05;
}

LinformerConfig LinformerLMConfig::linformer() const {
  LinformerConfig config;
  static_cast<LayersConfig&>(config) = *this;
  config.input_size = input_size;
  config.channels = channels;
  config.dim_k = dim_k;
  return config;
}

}  // namespace perceive::models::linformer_pytorch
