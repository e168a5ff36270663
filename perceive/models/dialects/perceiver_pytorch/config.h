// The constructor arguments of perceiver-pytorch 0.8.8 to 0.11.0, by their own names and with their own defaults.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "perceive/models/dialects/perceiver_pytorch/input.h"
#include "perceive/models/perceiver.h"

namespace perceive::models::perceiver_pytorch {

// In order. Names of parameters, initial draws and arguments differ between them; numbers only where 0.10.0 has no norm
// in its attention residual.
enum class Version { v0_8_8, v0_9_0, v0_10_0, v0_10_1, v0_11_0 };
Version version_of(const std::string& version);

// What all four models called Perceiver take.
struct BaseConfig {
  std::optional<int64_t> num_freq_bands;
  int64_t depth = 0;
  std::optional<double> max_freq;
  int64_t input_channels = 3, input_axis = 2;
  int64_t num_latents = 512, latent_dim = 512;
  int64_t cross_heads = 1, latent_heads = 8, cross_dim_head = 64, latent_dim_head = 64;
  int64_t num_classes = 1000;
  double attn_dropout = 0.0, ff_dropout = 0.0;
  bool weight_tie_layers = false;
};
template <class Visitor>
void visit(BaseConfig& o, Visitor&& field) {
  field("num_freq_bands", o.num_freq_bands, "frequencies of the position features, an axis (required with features)");
  field("depth", o.depth, "layers (required)");
  field("max_freq", o.max_freq, "twice the highest of these frequencies (required with features)");
  field("input_channels", o.input_channels, "channels of the data");
  field("input_axis", o.input_axis, "axes of the data: 1 for a sequence, 2 for pictures, 3 for video");
  field("num_latents", o.num_latents, "latents");
  field("latent_dim", o.latent_dim, "channels of a latent");
  field("cross_heads", o.cross_heads, "heads of cross-attention");
  field("latent_heads", o.latent_heads, "heads of self-attention");
  field("cross_dim_head", o.cross_dim_head, "channels of a head of cross-attention");
  field("latent_dim_head", o.latent_dim_head, "channels of a head of self-attention");
  field("num_classes", o.num_classes, "channels of the output");
  field("attn_dropout", o.attn_dropout, "dropout of attention weights");
  field("ff_dropout", o.ff_dropout, "dropout of what the MLPs give");
  field("weight_tie_layers", o.weight_tie_layers, "the layers after the first share their weights");
}

struct PerceiverConfig : BaseConfig {
  bool fourier_encode_data = true;
  int64_t self_per_cross_attn = 1;
  bool final_classifier_head = true;
  core::OneOrMany<bool> inverted_cross_attn = false;
  bool attn_residual = false;
  int64_t attn_residual_rank = 64;
};
template <class Visitor>
void visit(PerceiverConfig& o, Visitor&& field) {
  visit(static_cast<BaseConfig&>(o), field);
  field("fourier_encode_data", o.fourier_encode_data, "position features behind the channels of the data");
  field("self_per_cross_attn", o.self_per_cross_attn, "self-attentions of a layer");
  field("final_classifier_head", o.final_classifier_head, "false: the latents are the output");
  field("inverted_cross_attn", o.inverted_cross_attn,
        "softmax over the latents in cross-attention, or one value for each layer (since 0.9.0)");
  field("attn_residual", o.attn_residual, "after every layer, mix the latents of all layers so far (since 0.10.0)");
  field("attn_residual_rank", o.attn_residual_rank, "rank of the matrices that weigh them (since 0.10.0)");
}

struct GatedConfig : BaseConfig {};
template <class Visitor>
void visit(GatedConfig& o, Visitor&& field) {
  visit(static_cast<BaseConfig&>(o), field);
}

// The original swallows any other keyword; here these, so that a misspelt name is found.
struct MixedLatentsConfig : BaseConfig {
  std::optional<bool> fourier_encode_data, final_classifier_head, attn_residual;
  std::optional<int64_t> self_per_cross_attn, attn_residual_rank;
  std::optional<core::OneOrMany<bool>> inverted_cross_attn;
};
template <class Visitor>
void visit(MixedLatentsConfig& o, Visitor&& field) {
  constexpr const char* kIgnored = "taken and ignored, as in the original; so are latent_heads and latent_dim_head";
  visit(static_cast<BaseConfig&>(o), field);
  field("fourier_encode_data", o.fourier_encode_data, kIgnored);
  field("self_per_cross_attn", o.self_per_cross_attn, kIgnored);
  field("final_classifier_head", o.final_classifier_head, kIgnored);
  field("inverted_cross_attn", o.inverted_cross_attn, kIgnored);
  field("attn_residual", o.attn_residual, kIgnored);
  field("attn_residual_rank", o.attn_residual_rank, kIgnored);
}

struct ExperimentalConfig : BaseConfig {
  bool fourier_encode_data = true;
};
template <class Visitor>
void visit(ExperimentalConfig& o, Visitor&& field) {
  visit(static_cast<BaseConfig&>(o), field);
  field("fourier_encode_data", o.fourier_encode_data,
        "must be false to run: with position features the original's layers do not fit its data");
}

struct BlockConfig {
  int64_t dim = 0;
  std::optional<int64_t> context_dim;
  int64_t cross_heads = 1, latent_heads = 8, cross_dim_head = 64, latent_dim_head = 64;
  int64_t self_per_cross_attn = 1;
  double attn_dropout = 0.0, ff_dropout = 0.0;
  bool has_cross_attn = true, queries_contribute_kv = false;
};
template <class Visitor>
void visit(BlockConfig& o, Visitor&& field) {
  field("dim", o.dim, "channels of the latents (required)");
  field("context_dim", o.context_dim, "channels of the context; null: dim");
  field("cross_heads", o.cross_heads, "heads of cross-attention");
  field("latent_heads", o.latent_heads, "heads of self-attention");
  field("cross_dim_head", o.cross_dim_head, "channels of a head of cross-attention");
  field("latent_dim_head", o.latent_dim_head, "channels of a head of self-attention");
  field("self_per_cross_attn", o.self_per_cross_attn, "self-attentions");
  field("attn_dropout", o.attn_dropout, "dropout of attention weights");
  field("ff_dropout", o.ff_dropout, "dropout of what the MLPs give");
  field("has_cross_attn", o.has_cross_attn, "false: self-attentions only");
  field("queries_contribute_kv", o.queries_contribute_kv, "cross-attention also reads the latents, before the context");
}

// What PerceiverIO and PerceiverLM take.
struct IOBaseConfig {
  int64_t depth = 0, dim = 0;
  int64_t num_latents = 512, latent_dim = 512;
  int64_t cross_heads = 1, latent_heads = 8, cross_dim_head = 64, latent_dim_head = 64;
  bool weight_tie_layers = false, decoder_ff = false;
  double seq_dropout_prob = 0.0;
  bool attn_residual = false;
  int64_t attn_residual_rank = 64;
  core::OneOrMany<bool> inverted_cross_attn = false;
};
template <class Visitor>
void visit(IOBaseConfig& o, Visitor&& field) {
  field("depth", o.depth, "self-attentions (required)");
  field("dim", o.dim, "channels of the data (required)");
  field("num_latents", o.num_latents, "latents");
  field("latent_dim", o.latent_dim, "channels of a latent");
  field("cross_heads", o.cross_heads, "heads of both cross-attentions");
  field("latent_heads", o.latent_heads, "heads of self-attention");
  field("cross_dim_head", o.cross_dim_head, "channels of a head of cross-attention");
  field("latent_dim_head", o.latent_dim_head, "channels of a head of self-attention");
  field("weight_tie_layers", o.weight_tie_layers, "all layers share their weights");
  field("decoder_ff", o.decoder_ff, "an MLP behind the queries' attention");
  field("seq_dropout_prob", o.seq_dropout_prob, "share of the data that a training step leaves out");
  field("attn_residual", o.attn_residual, "after every layer, mix the latents of all layers so far (since 0.10.0)");
  field("attn_residual_rank", o.attn_residual_rank, "rank of the matrices that weigh them (since 0.10.0)");
  field("inverted_cross_attn", o.inverted_cross_attn,
        "softmax over the latents where they read the data; a list counts as true unless empty (since 0.10.0)");
}

struct PerceiverIOConfig : IOBaseConfig {
  int64_t queries_dim = 0;
  std::optional<int64_t> logits_dim;
};
template <class Visitor>
void visit(PerceiverIOConfig& o, Visitor&& field) {
  visit(static_cast<IOBaseConfig&>(o), field);
  field("queries_dim", o.queries_dim, "channels of a query (required)");
  field("logits_dim", o.logits_dim, "channels of the output; null: those of the queries");
}

struct PerceiverLMConfig : IOBaseConfig {
  int64_t num_tokens = 0, max_seq_len = 0;
};
template <class Visitor>
void visit(PerceiverLMConfig& o, Visitor&& field) {
  visit(static_cast<IOBaseConfig&>(o), field);
  field("num_tokens", o.num_tokens, "size of the vocabulary (required)");
  field("max_seq_len", o.max_seq_len, "tokens of the longest text (required)");
}

// The native model that computes the same; `version` decides on the norm of the attention residual only. Throws
// core::ConfigError, with the original's message where it has one.
PerceiverOptions native_options(const PerceiverConfig& config, Version version = Version::v0_11_0);
PerceiverOptions native_options(const PerceiverIOConfig& config, Version version = Version::v0_11_0);
// Of gated, mixed_latents and experimental: its layers, but for what these have in their place.
PerceiverOptions native_options(const BaseConfig& config, const InputOptions& input);

struct BlockOptions {
  std::optional<nn::LayerOptions> cross;
  int64_t context_channels = 0;
  nn::LayerOptions self;
};
BlockOptions native_options(const BlockConfig& config);

// The data and its position features.
InputOptions input_options(const PerceiverConfig& config);
InputOptions input_options(const ExperimentalConfig& config);
InputOptions input_options(const BaseConfig& config);

PerceiverIOConfig io_config(const PerceiverLMConfig& config);

// Throws core::ConfigError for an argument that came after `version`.
void require_known(const PerceiverConfig& config, Version version);
void require_known(const IOBaseConfig& config, Version version);

}  // namespace perceive::models::perceiver_pytorch
