// What the arguments of perceiver-pytorch mean, and what is wrong with them.
#include "perceive/models/dialects/perceiver_pytorch/config.h"

#include <c10/util/StringUtil.h>

#include <array>

#include "perceive/core/error.h"
#include "perceive/nn/checks.h"

namespace perceive::models::perceiver_pytorch {
namespace {

constexpr std::array kVersions{
    std::pair{Version::v0_8_8, "0.8.8"},   std::pair{Version::v0_9_0, "0.9.0"},   std::pair{Version::v0_10_0, "0.10.0"},
    std::pair{Version::v0_10_1, "0.10.1"}, std::pair{Version::v0_11_0, "0.11.0"},
};

std::string name_of(Version version) {
  for (const auto& [value, name] : kVersions) {
    if (value == version) return name;
  }
  return {};
}

struct Heads {
  const char* name;  // "cross"
  int64_t count, channels;
};

nn::LayerOptions layer(const Heads& heads, double attn_dropout, double ff_dropout) {
  nn::require_at_least(c10::str(heads.name, "_heads"), heads.count, 1);
  nn::require_at_least(c10::str(heads.name, "_dim_head"), heads.channels, 1);
  nn::require_dropout("attn_dropout", attn_dropout);
  nn::require_dropout("ff_dropout", ff_dropout);
  nn::LayerOptions layer;
  layer.attention.heads = heads.count;
  layer.attention.qk_channels = heads.count * heads.channels;
  layer.attention.qkv_bias = false;
  layer.attention.packing = nn::Packing::key_value;
  layer.attention.empty_rows = nn::EmptyRows::uniform;
  layer.attention.dropout = attn_dropout;
  layer.mlp.widening_factor = 4;
  layer.mlp.activation = nn::MlpActivation::geglu;
  layer.mlp_dropout = ff_dropout;
  return layer;
}

InputOptions input(const BaseConfig& config, bool fourier) {
  nn::require_at_least("input_channels", config.input_channels, 1);
  nn::require_at_least("input_axis", config.input_axis, fourier ? 1 : 0);
  InputOptions input{.axes = config.input_axis, .channels = config.input_channels};
  if (!fourier) return input;
  for (const auto& [key, given] :
       {std::pair{"num_freq_bands", config.num_freq_bands.has_value()}, {"max_freq", config.max_freq.has_value()}}) {
    if (!given) throw core::ConfigError(c10::str(key, " is required: the data gets position features"));
  }
  nn::require_at_least("num_freq_bands", *config.num_freq_bands, 0);
  input.fourier = FourierFeatures{.bands = *config.num_freq_bands, .max_freq = *config.max_freq};
  return input;
}

std::optional<nn::DepthAttentionOptions> residual(bool on, int64_t rank, Version version) {
  if (!on) return std::nullopt;
  nn::require_at_least("attn_residual_rank", rank, 1);
  return nn::DepthAttentionOptions{.rank = rank, .normalize = version != Version::v0_10_0};
}

void require_since(bool used, const char* key, Version since, Version version) {
  if (!used || version >= since) return;
  throw core::ConfigError(c10::str(key, " came with version ", name_of(since), "; the model is asked for as ",
                                   name_of(version), ": leave it out, or ask for a later version"));
}

bool truth(const core::OneOrMany<bool>& value) {
  return value.is_list ? !value.many.empty() : value.one;
}

}  // namespace

Version version_of(const std::string& version) {
  for (const auto& [value, name] : kVersions) {
    if (version == name) return value;
  }
  throw core::ConfigError("perceiver-pytorch: there is no version " + version);
}

InputOptions input_options(const PerceiverConfig& config) {
  auto options = input(config, config.fourier_encode_data);
  if (options.fourier) options.fourier->in_dtype_of_data = true;
  return options;
}

InputOptions input_options(const ExperimentalConfig& config) {
  return input(config, config.fourier_encode_data);
}

InputOptions input_options(const BaseConfig& config) {
  return input(config, true);
}

PerceiverOptions native_options(const BaseConfig& config, const InputOptions& input) {
  nn::require_at_least("depth", config.depth, 1);
  nn::require_at_least("num_latents", config.num_latents, 1);
  nn::require_at_least("latent_dim", config.latent_dim, 1);
  nn::require_at_least("num_classes", config.num_classes, 1);
  PerceiverOptions options;
  options.input_channels = width(input);
  options.num_latents = config.num_latents;
  options.latent_channels = config.latent_dim;
  options.stack.depth = config.depth;
  options.stack.tying = config.weight_tie_layers ? nn::WeightTying::after_first : nn::WeightTying::none;
  options.cross = layer({"cross", config.cross_heads, config.cross_dim_head}, config.attn_dropout, config.ff_dropout);
  options.self = layer({"latent", config.latent_heads, config.latent_dim_head}, config.attn_dropout, config.ff_dropout);
  options.pool = PoolOptions{.channels = config.num_classes};
  check(options);
  return options;
}

PerceiverOptions native_options(const PerceiverConfig& config, Version version) {
  auto options = native_options(static_cast<const BaseConfig&>(config), input_options(config));
  nn::require_at_least("self_per_cross_attn", config.self_per_cross_attn, 0);
  options.self_per_cross = config.self_per_cross_attn;
  options.stack.depth_attention = residual(config.attn_residual, config.attn_residual_rank, version);
  if (!config.final_classifier_head) options.pool.reset();
  const auto& inverted = config.inverted_cross_attn;
  if (inverted.is_list && static_cast<int64_t>(inverted.many.size()) != config.depth) {
    throw core::ConfigError(c10::str("inverted_cross_attn tuple must have length of depth (", config.depth, "); got ",
                                     inverted.many.size(), " values"));
  }
  check(options);
  return options;
}

PerceiverOptions native_options(const PerceiverIOConfig& config, Version version) {
  nn::require_at_least("depth", config.depth, 1);
  nn::require_at_least("dim", config.dim, 1);
  nn::require_at_least("queries_dim", config.queries_dim, 1);
  nn::require_at_least("num_latents", config.num_latents, 1);
  nn::require_at_least("latent_dim", config.latent_dim, 1);
  if (config.logits_dim) nn::require_at_least("logits_dim", *config.logits_dim, 1);
  nn::require_dropout("seq_dropout_prob", config.seq_dropout_prob);
  PerceiverOptions options;
  options.input_channels = config.dim;
  options.num_latents = config.num_latents;
  options.latent_channels = config.latent_dim;
  options.stack.depth = config.depth;
  options.stack.tying = config.weight_tie_layers ? nn::WeightTying::all : nn::WeightTying::none;
  options.stack.depth_attention = residual(config.attn_residual, config.attn_residual_rank, version);
  options.read_once = true;
  options.cross = layer({"cross", config.cross_heads, config.cross_dim_head}, 0.0, 0.0);
  options.self = layer({"latent", config.latent_heads, config.latent_dim_head}, 0.0, 0.0);
  QueryOptions query;
  query.query_channels = config.queries_dim;
  query.layer = options.cross;
  query.layer.attention_residual = false;
  query.mlp = config.decoder_ff;
  query.normalize = false;
  query.channels = config.logits_dim;
  options.query = query;
  check(options);
  return options;
}

BlockOptions native_options(const BlockConfig& config) {
  nn::require_at_least("dim", config.dim, 1);
  nn::require_at_least("self_per_cross_attn", config.self_per_cross_attn, 0);
  BlockOptions options;
  options.self = layer({"latent", config.latent_heads, config.latent_dim_head}, config.attn_dropout, config.ff_dropout);
  if (!config.has_cross_attn) return options;
  options.context_channels = config.context_dim.value_or(config.dim);
  nn::require_at_least("context_dim", options.context_channels, 1);
  if (config.queries_contribute_kv && options.context_channels != config.dim) {
    throw core::ConfigError(c10::str("queries_contribute_kv requires context_dim to equal query_dim: context_dim is ",
                                     options.context_channels, ", dim ", config.dim));
  }
  options.cross = layer({"cross", config.cross_heads, config.cross_dim_head}, config.attn_dropout, config.ff_dropout);
  options.cross->attention.queries_as_keys = config.queries_contribute_kv;
  return options;
}

PerceiverIOConfig io_config(const PerceiverLMConfig& config) {
  nn::require_at_least("num_tokens", config.num_tokens, 1);
  nn::require_at_least("max_seq_len", config.max_seq_len, 1);
  PerceiverIOConfig io;
  static_cast<IOBaseConfig&>(io) = config;
  io.queries_dim = config.dim;
  io.logits_dim = config.num_tokens;
  return io;
}

void require_known(const PerceiverConfig& config, Version version) {
  require_since(truth(config.inverted_cross_attn), "inverted_cross_attn", Version::v0_9_0, version);
  require_since(config.attn_residual, "attn_residual", Version::v0_10_0, version);
}

void require_known(const IOBaseConfig& config, Version version) {
  require_since(truth(config.inverted_cross_attn), "inverted_cross_attn", Version::v0_10_0, version);
  require_since(config.attn_residual, "attn_residual", Version::v0_10_0, version);
}

}  // namespace perceive::models::perceiver_pytorch
