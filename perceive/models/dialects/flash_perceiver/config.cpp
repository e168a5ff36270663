// What the arguments of flash-perceiver 0.2.0 mean, and what is wrong with them.
#include "perceive/models/dialects/flash_perceiver/config.h"

#include <c10/util/StringUtil.h>

#include "perceive/core/error.h"
#include "perceive/nn/checks.h"

namespace perceive::models::flash_perceiver {
namespace {

struct Heads {
  int64_t count, channels;
};

// `name`: "cross", "latent" or "query".
Heads resolve_heads(const std::string& name, int64_t width, std::optional<int64_t> heads,
                    std::optional<int64_t> head_dim) {
  const auto heads_key = name + "_heads", dim_key = name + "_head_dim";
  if (!heads && !head_dim) {
    throw core::ConfigError(
        c10::str("Must specify either num_heads or head_dim: ", heads_key, " and ", dim_key, " are both null"));
  }
  if (head_dim) nn::require_at_least(dim_key, *head_dim, 1);
  const int64_t count = heads ? *heads : width / *head_dim;
  if (!heads && count == 0) {
    throw core::ConfigError(c10::str(dim_key, "=", *head_dim, " is more than the ", width,
                                     " channels, so that no head ", "is left; give ", heads_key));
  }
  nn::require_at_least(heads_key, count, 1);
  if (width % count != 0) {
    throw core::ConfigError(
        c10::str("embed_dim must be divisible by num_heads: ", heads_key, "=", count, " does not divide ", width));
  }
  return {count, head_dim.value_or(width / count)};
}

void refuse_rotary(const std::string& key, int64_t value) {
  if (value > 0) {
    throw core::ConfigError(c10::str("MHA with rotary embedding does not support cross-attention yet: ", key,
                                     " must be 0, got ", value, "; perceive.Perceiver can do it"));
  }
}

nn::LayerOptions layer(const BaseConfig& config, const Heads& heads, double dropout, int64_t gated_hidden) {
  nn::LayerOptions layer;
  layer.attention.heads = heads.count;
  layer.attention.qk_channels = heads.count * heads.channels;
  layer.attention.v_channels = heads.count * heads.channels;
  layer.attention.normalize_context = false;
  layer.attention.qkv_bias = false;
  layer.attention.packing = nn::Packing::key_value;
  layer.attention.empty_rows = config.use_flash_attn ? nn::EmptyRows::zeros : nn::EmptyRows::penalty;
  layer.attention.dropout = dropout;
  layer.mlp.widening_factor = 4;
  if (config.gated_mlp) {
    layer.mlp.hidden_channels = gated_hidden;
    layer.mlp.activation = nn::MlpActivation::glu;
  }
  layer.mlp_residual = false;
  return layer;
}

PerceiverOptions base_options(const BaseConfig& config, int64_t gated_hidden) {
  if (!config.input_dim.is_list) nn::require_at_least("input_dim", config.input_dim.one, 1);
  for (const int64_t width : config.input_dim.many) nn::require_at_least("input_dim", width, 1);
  nn::require_at_least("depth", config.depth, 1);
  nn::require_at_least("latent_dim", config.latent_dim, 1);
  nn::require_dropout("cross_attn_dropout", config.cross_attn_dropout);
  nn::require_dropout("latent_attn_dropout", config.latent_attn_dropout);
  if (!(config.latent_drop >= 0.0 && config.latent_drop < 1.0)) {
    throw core::ConfigError(c10::str("Drop probability p must be 0 <= p < 1: latent_drop is ", config.latent_drop));
  }
  refuse_rotary("cross_rotary_emb_dim", config.cross_rotary_emb_dim);
  const auto cross = resolve_heads("cross", config.latent_dim, config.cross_heads, config.cross_head_dim);
  const auto self = resolve_heads("latent", config.latent_dim, config.latent_heads, config.latent_head_dim);

  PerceiverOptions options;
  options.input_channels = config.input_dim;
  options.num_latents = config.num_latents;
  options.latent_channels = config.latent_dim;
  options.cross = layer(config, cross, config.cross_attn_dropout, gated_hidden);
  options.self = layer(config, self, config.latent_attn_dropout, gated_hidden);
  options.self.attention.qkv_bias = true;
  options.self.attention.packing = nn::Packing::all;
  options.self.attention.rotary_channels = config.latent_rotary_emb_dim;
  options.num_zero_tokens = config.num_zero_tokens.value_or(0);
  options.latent_drop = config.latent_drop;
  return options;
}

void require_input_count(const BaseConfig& config, int64_t readings) {
  const auto& widths = config.input_dim;
  if (widths.is_list && static_cast<int64_t>(widths.many.size()) != readings) {
    throw core::ConfigError(
        c10::str("Must specify input_dim for each layer: expected ", readings, " widths, got ", widths.many.size()));
  }
  if (widths.is_list && config.weight_tie_layers) {
    throw core::ConfigError("Cannot weight tie layers with different input dimensions: give input_dim as one number");
  }
}

}  // namespace

int64_t gated_hidden(int64_t latent_dim, int64_t multiple) {
  return (4 * latent_dim + multiple - 1) / multiple * multiple;
}

PerceiverOptions native_options(const PerceiverConfig& config, int64_t gated_hidden) {
  if (config.latent_drop > 0 && config.output_mode == Pooling::concat) {
    throw core::ConfigError("Cannot use latent dropout with output mode concat");
  }
  require_input_count(config, config.depth);
  auto options = base_options(config, gated_hidden);
  nn::require_at_least("self_per_cross_attn", config.self_per_cross_attn, 0);
  options.stack.depth = config.depth;
  options.stack.tying = config.weight_tie_layers ? nn::WeightTying::after_first : nn::WeightTying::none;
  options.self_per_cross = config.self_per_cross_attn;
  if (config.output_dim) {
    if (config.output_mode == Pooling::concat && !config.num_latents) {
      throw core::ConfigError("Must explicitly provide num_latents if output_mode is concat");
    }
    nn::require_at_least("output_dim", *config.output_dim, 1);
    options.pool = PoolOptions{config.output_mode, *config.output_dim};
  }
  check(options);
  return options;
}

PerceiverOptions native_options(const PerceiverIOConfig& config, int64_t gated_hidden) {
  require_input_count(config, 1);
  refuse_rotary("query_rotary_emb_dim", config.query_rotary_emb_dim);
  nn::require_at_least("query_dim", config.query_dim, 1);
  nn::require_dropout("query_attn_dropout", config.query_attn_dropout);
  auto options = base_options(config, gated_hidden);
  options.stack.depth = 1;
  options.self_per_cross = config.depth;
  QueryOptions query;
  query.query_channels = config.query_dim;
  const auto heads = resolve_heads("query", config.query_dim, config.query_heads, config.query_head_dim);
  query.layer = layer(config, heads, config.query_attn_dropout, gated_hidden);
  query.channels = config.proj_dim;
  options.query = query;
  check(options);
  return options;
}

}  // namespace perceive::models::flash_perceiver
