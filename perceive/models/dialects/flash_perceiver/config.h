// The constructor arguments of flash-perceiver 0.2.0, by their own names and with their own defaults.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "perceive/models/perceiver.h"

namespace perceive::models::flash_perceiver {

struct BaseConfig {
  core::OneOrMany<int64_t> input_dim = 0;
  int64_t depth = 0;
  std::optional<int64_t> num_latents = 512;
  int64_t latent_dim = 512;
  std::optional<int64_t> cross_heads = 1, cross_head_dim = 64;
  int64_t cross_rotary_emb_dim = 0;
  double cross_attn_dropout = 0.0;
  std::optional<int64_t> latent_heads = 8, latent_head_dim = 64;
  int64_t latent_rotary_emb_dim = 0;
  double latent_attn_dropout = 0.0;
  double latent_drop = 0.0;
  bool weight_tie_layers = false;
  bool gated_mlp = true;
  std::optional<int64_t> num_zero_tokens;
  bool use_flash_attn = true;
};
template <class Visitor>
void visit(BaseConfig& o, Visitor&& field) {
  field("input_dim", o.input_dim, "channels of the input, or of each block's input (required)");
  field("depth", o.depth, "blocks of one cross-attention and self-attentions; PerceiverIO: self-attentions (required)");
  field("num_latents", o.num_latents, "learned latents; null: they are given to forward()");
  field("latent_dim", o.latent_dim, "channels of a latent");
  field("cross_heads", o.cross_heads, "heads of cross-attention; null: as many as fit into latent_dim");
  field("cross_head_dim", o.cross_head_dim, "channels of such a head; null: latent_dim / cross_heads");
  field("cross_rotary_emb_dim", o.cross_rotary_emb_dim, "must be 0, as in the original; the native model can do it");
  field("cross_attn_dropout", o.cross_attn_dropout, "dropout of the cross-attention's weights");
  field("latent_heads", o.latent_heads, "heads of self-attention; null: as many as fit into latent_dim");
  field("latent_head_dim", o.latent_head_dim, "channels of such a head; null: latent_dim / latent_heads");
  field("latent_rotary_emb_dim", o.latent_rotary_emb_dim,
        "channels of each self-attention head with rotary embedding; 0: none");
  field("latent_attn_dropout", o.latent_attn_dropout, "dropout of the self-attention's weights");
  field("latent_drop", o.latent_drop, "share of the latents that a training step leaves out");
  field("weight_tie_layers", o.weight_tie_layers,
        "blocks after the first share their weights (without effect in PerceiverIO, as in the original)");
  field("gated_mlp", o.gated_mlp, "MLPs with a sigmoid gate; their width follows from the weights, 256 by default");
  field("num_zero_tokens", o.num_zero_tokens, "learned tokens in front of each input");
  field("use_flash_attn", o.use_flash_attn,
        "false: a sample of which everything is masked is read as if nothing were; true: it is not read");
}

// PerceiverBase, whose result are the latents.
struct PerceiverBaseConfig : BaseConfig {
  int64_t self_per_cross_attn = 1;
};
template <class Visitor>
void visit(PerceiverBaseConfig& o, Visitor&& field) {
  visit(static_cast<BaseConfig&>(o), field);
  field("self_per_cross_attn", o.self_per_cross_attn, "self-attentions of a block");
}

struct PerceiverConfig : PerceiverBaseConfig {
  std::optional<int64_t> output_dim;
  Pooling output_mode = Pooling::average;
};
template <class Visitor>
void visit(PerceiverConfig& o, Visitor&& field) {
  visit(static_cast<PerceiverBaseConfig&>(o), field);
  field("output_dim", o.output_dim, "channels of the output; null: the latents are the output");
  field("output_mode", o.output_mode, "how the latents become one vector, where output_dim is given");
}

// Of fast-perceiver 0.1: one input, a mean as the head, and out_dim for output_dim.
struct FastPerceiverConfig : PerceiverConfig {
  std::optional<int64_t> out_dim;
  PerceiverConfig renamed() const {
    PerceiverConfig config = *this;
    config.output_dim = out_dim;
    return config;
  }
};
template <class Visitor>
void visit(FastPerceiverConfig& o, Visitor&& field) {
  visit(static_cast<PerceiverBaseConfig&>(o), field);
  field("out_dim", o.out_dim, "channels of the output; null: the latents are the output");
}

struct PerceiverIOConfig : BaseConfig {
  int64_t query_dim = 0;
  std::optional<int64_t> proj_dim;
  std::optional<int64_t> query_heads = 1, query_head_dim = 64;
  int64_t query_rotary_emb_dim = 0;
  double query_attn_dropout = 0.0;
};
template <class Visitor>
void visit(PerceiverIOConfig& o, Visitor&& field) {
  visit(static_cast<BaseConfig&>(o), field);
  field("query_dim", o.query_dim, "channels of a query (required)");
  field("proj_dim", o.proj_dim, "channels of the output; null: those of the queries");
  field("query_heads", o.query_heads, "heads of the queries' attention; null: as many as fit into query_dim");
  field("query_head_dim", o.query_head_dim, "channels of such a head; null: query_dim / query_heads");
  field("query_rotary_emb_dim", o.query_rotary_emb_dim, "must be 0, as in the original; the native model can do it");
  field("query_attn_dropout", o.query_attn_dropout, "dropout of the queries' attention weights");
}

// The width of gated MLPs: 4 latent_dim, rounded up to a multiple of 256 (flash-attn up to 2.3.6) or 128 (since 2.4.0).
int64_t gated_hidden(int64_t latent_dim, int64_t multiple);

// The native model that computes the same: no residual around the MLP, inputs that are not normalised. `gated_hidden`:
// of the MLPs, where they are gated. Throws core::ConfigError, with the original's message where it has one.
PerceiverOptions native_options(const PerceiverConfig& config, int64_t gated_hidden);
PerceiverOptions native_options(const PerceiverIOConfig& config, int64_t gated_hidden);

}  // namespace perceive::models::flash_perceiver
