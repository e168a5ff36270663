// The constructor arguments of linformer-pytorch 0.1.0 and 0.19.3, by their own names and with their own defaults.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "perceive/core/options.h"

namespace perceive::models::linformer_pytorch {

enum class Activation { gelu, relu };
// What the backward pass computes again: nothing, every attention and feed-forward part, or a block of their rows at a
// time.
enum class CheckpointLevel { C0, C1, C2 };
// Which projections along the length are one: none, those of a layer's heads, its E and F too, those of all layers.
enum class ParameterSharing { none, headwise, kv, layerwise };
enum class Method { learnable, convolution, no_params };

// Of a name, as an argument holds it. Throw core::ConfigError with the original's message.
Activation activation_of(const std::string& name);
CheckpointLevel checkpoint_level_of(const std::string& name);
ParameterSharing parameter_sharing_of(const std::string& name);
Method method_of(const std::string& name);
std::string name_of(Method method);

// What Linformer and LinformerLM have in common, with the defaults of the former.
struct LayersConfig {
  int64_t dim_ff = 256;
  std::optional<int64_t> dim_d;
  double dropout_ff = 0.15;
  int64_t nhead = 4, depth = 1;
  double dropout = 0.1;
  std::string activation = "gelu", checkpoint_level = "C0", parameter_sharing = "layerwise";
  int64_t k_reduce_by_layer = 0;
  bool full_attention = false, include_ff = true;
  std::optional<int64_t> w_o_intermediate_dim;
  bool decoder_mode = false, causal = false;
  std::string method = "learnable";
  std::optional<int64_t> ff_intermediate;
};

// Those that both have in the same order and words.
template <class Visitor>
void visit_inside(LayersConfig& o, Visitor&& field) {
  field("checkpoint_level", o.checkpoint_level,
        "what the backward pass computes again: C0 nothing, C1 each part, C2 some rows at a time; the numbers are the "
        "same");
  field("parameter_sharing", o.parameter_sharing,
        "which projections are one: none, headwise (a layer's heads), kv (E and F too), layerwise (all layers)");
  field("k_reduce_by_layer", o.k_reduce_by_layer, "how much dim_k falls from layer to layer; not where all share one");
  field("full_attention", o.full_attention, "attend to all keys, without a projection along the length");
  field("include_ff", o.include_ff, "feed-forward parts");
  field("w_o_intermediate_dim", o.w_o_intermediate_dim,
        "split the output projection in two, with so many channels between");
}

struct LinformerConfig : LayersConfig {
  static constexpr const char* kName = "Linformer";
  std::optional<int64_t> input_size, channels, dim_k;
};
template <class Visitor>
void visit(LinformerConfig& o, Visitor&& field) {
  field("input_size", o.input_size, "length of the input (required; 0.1.0: default 8192)");
  field("channels", o.channels, "channels of the input (required; 0.1.0: default 128)");
  field("dim_k", o.dim_k, "length of the projected keys and values (required; 0.1.0: default 64, the first rows)");
  field("dim_ff", o.dim_ff, "hidden channels of the feed-forward parts");
  field("dim_d", o.dim_d, "channels of a head; null: channels / nhead (0.1.0: 512)");
  field("dropout_ff", o.dropout_ff, "dropout of the feed-forward parts");
  field("nhead", o.nhead, "attention heads");
  field("depth", o.depth, "layers");
  field("dropout", o.dropout, "dropout of attention weights, and of what attention gives (0.1.0: of the weights only)");
  field("activation", o.activation, "gelu or relu, of the feed-forward parts (0.1.0: always gelu)");
  visit_inside(o, field);
  field("decoder_mode", o.decoder_mode, "cross-attention to `embeddings` behind each self-attention");
  field("causal", o.causal,
        "query i sees the first i + 1 projected keys, which does not hide later tokens; with full_attention it does");
  field("method", o.method, "of the projection along the length: learnable, convolution or no_params (random, fixed)");
  field("ff_intermediate", o.ff_intermediate, "channels between the first layer and the last; not with layerwise");
}

// The arguments of get_EF().
struct EFConfig {
  int64_t input_size = 0, dim = 0;
  std::string method = "learnable";
  std::optional<int64_t> head_dim;
  bool bias = true;
};
template <class Visitor>
void visit(EFConfig& o, Visitor&& field) {
  field("input_size", o.input_size, "length before the projection (required)");
  field("dim", o.dim, "length after it (required); of a convolution about that");
  field("method", o.method, "learnable, convolution or no_params (random, fixed)");
  field("head_dim", o.head_dim, "channels of a head (required for a convolution)");
  field("bias", o.bias, "of learnable ones; a convolution always has one, as in the original");
}

struct MHAttentionConfig {
  int64_t input_size = 0, dim = 0, channels = 0, dim_k = 0, nhead = 0;
  double dropout = 0.0;
  std::string checkpoint_level = "C0", parameter_sharing = "layerwise";
  std::optional<EFConfig> E_proj, F_proj;
  bool full_attention = false;
  std::optional<bool> causal_mask;
  std::optional<int64_t> w_o_intermediate_dim;
  bool decoder_mode = false;
  std::string method = "learnable";
};
template <class Visitor>
void visit(MHAttentionConfig& o, Visitor&& field) {
  field("input_size", o.input_size, "length of the input (required)");
  field("dim", o.dim, "channels of a head (required)");
  field("channels", o.channels, "channels of the input (required)");
  field("dim_k", o.dim_k, "length of the projected keys and values (required)");
  field("nhead", o.nhead, "attention heads (required)");
  field("dropout", o.dropout, "dropout of attention weights and of the output");
  field("checkpoint_level", o.checkpoint_level,
        "C2: the backward pass computes heads again, and no mask has an effect, as in the original");
  field("parameter_sharing", o.parameter_sharing, "none, headwise, kv, or layerwise for E_proj and F_proj");
  field("E_proj", o.E_proj, "the arguments of get_EF() for the projection of keys, with layerwise sharing");
  field("F_proj", o.F_proj, "the same for values; without, that of the keys");
  field("full_attention", o.full_attention, "attend to all keys, without a projection along the length");
  field("causal_mask", o.causal_mask,
        "true: gen_causal_mask(input_size, dim_k, full_attention); another one is read from the weights: causal_mask");
  field("w_o_intermediate_dim", o.w_o_intermediate_dim,
        "split the output projection in two, with so many channels between");
  field("decoder_mode", o.decoder_mode, "keys and values come from `embeddings`");
  field("method", o.method, "of the projections made here: learnable, convolution or no_params (random, fixed)");
}

struct LinearAttentionHeadConfig {
  int64_t dim = 0;
  double dropout = 0.0;
  std::optional<EFConfig> E_proj, F_proj;
  std::optional<bool> causal_mask;
  bool full_attention = false;
};
template <class Visitor>
void visit(LinearAttentionHeadConfig& o, Visitor&& field) {
  field("dim", o.dim, "channels of the queries (required): the scores are divided by its root");
  field("dropout", o.dropout, "dropout of attention weights");
  field("E_proj", o.E_proj, "the arguments of get_EF() for the projection of keys (required without full_attention)");
  field("F_proj", o.F_proj, "the same for values; without, that of the keys");
  field("causal_mask", o.causal_mask,
        "true: gen_causal_mask() for E_proj, or full_attention; another one is read from the weights: causal_mask");
  field("full_attention", o.full_attention, "attend to all keys, without a projection along the length");
}

struct FeedForwardConfig {
  int64_t input_channels = 0, output_channels = 0, ff_dim = 0;
  double dropout = 0.0;
  std::optional<std::string> activation = "gelu";
};
template <class Visitor>
void visit(FeedForwardConfig& o, Visitor&& field) {
  field("input_channels", o.input_channels, "channels of the input (required)");
  field("output_channels", o.output_channels, "channels of the output (required)");
  field("ff_dim", o.ff_dim, "hidden channels (required)");
  field("dropout", o.dropout, "dropout of hidden channels and of the output");
  field("activation", o.activation, "gelu or relu; anything else, and null: none, as in the original");
}

struct PositionalEmbeddingConfig {
  int64_t channels = 0;
};
template <class Visitor>
void visit(PositionalEmbeddingConfig& o, Visitor&& field) {
  field("channels", o.channels, "channels of a place (required); of an odd number one more come out");
}

struct LinformerLMConfig : LayersConfig {
  static constexpr const char* kName = "LinformerLM";
  LinformerLMConfig();
  int64_t num_tokens = 0, input_size = 0, channels = 0, dim_k = 64;
  double dropout_tokens = 0.1;
  std::optional<int64_t> emb_dim;
  bool return_emb = false;

  LinformerConfig linformer() const;
};
template <class Visitor>
void visit(LinformerLMConfig& o, Visitor&& field) {
  field("num_tokens", o.num_tokens, "tokens of the vocabulary (required)");
  field("input_size", o.input_size, "length of the input (required)");
  field("channels", o.channels, "channels of the Linformer (required)");
  field("dim_k", o.dim_k, "length of the projected keys and values");
  field("dim_ff", o.dim_ff, "hidden channels of the feed-forward parts");
  field("dim_d", o.dim_d, "channels of a head; null: channels / nhead");
  field("dropout_ff", o.dropout_ff, "dropout of the feed-forward parts");
  field("dropout_tokens", o.dropout_tokens, "dropout of embedded tokens");
  field("nhead", o.nhead, "attention heads");
  field("depth", o.depth, "layers");
  field("ff_intermediate", o.ff_intermediate, "channels between the first layer and the last; not with layerwise");
  field("dropout", o.dropout, "dropout of attention weights and of what attention gives");
  field("activation", o.activation, "gelu or relu, of the feed-forward parts");
  visit_inside(o, field);
  field("emb_dim", o.emb_dim, "channels of embedded tokens; null: channels");
  field("return_emb", o.return_emb, "give the last layer's rows, not logits");
  field("decoder_mode", o.decoder_mode, "cross-attention to `embeddings` behind each self-attention");
  field("causal", o.causal,
        "query i sees the first i + 1 projected keys, which does not hide later tokens; with full_attention it does");
  field("method", o.method, "of the projection along the length: learnable, convolution or no_params (random, fixed)");
}

// The arguments of each side stand there with the prefix enc_ or dec_. Of the sides, activation, checkpoint_level,
// return_emb, decoder_mode and dec.causal are not read: they follow from their place.
struct LinformerEncDecConfig {
  LinformerLMConfig enc, dec;
  std::string activation = "gelu", checkpoint_level = "C0";  // of both sides
};
template <class Visitor>
void visit(LinformerEncDecConfig& o, Visitor&& field) {
#define PERCEIVE_BOTH(name, help)                    \
  field("enc_" #name, o.enc.name, "encoder: " help); \
  field("dec_" #name, o.dec.name, "decoder: " help)
  PERCEIVE_BOTH(num_tokens, "tokens of the vocabulary (required)");
  PERCEIVE_BOTH(input_size, "length of the input (required); the same on both sides");
  PERCEIVE_BOTH(channels, "channels (required); the decoder reads rows of its own width");
  PERCEIVE_BOTH(dim_k, "length of the projected keys and values");
  PERCEIVE_BOTH(dim_ff, "hidden channels of the feed-forward parts");
  PERCEIVE_BOTH(dim_d, "channels of a head; null: channels / nhead");
  PERCEIVE_BOTH(ff_intermediate, "channels between the first layer and the last; the encoder's only");
  PERCEIVE_BOTH(dropout_ff, "dropout of the feed-forward parts");
  PERCEIVE_BOTH(nhead, "attention heads");
  PERCEIVE_BOTH(depth, "layers");
  PERCEIVE_BOTH(dropout, "dropout of attention weights and of what attention gives");
  PERCEIVE_BOTH(parameter_sharing, "which projections are one: none, headwise, kv or layerwise");
  PERCEIVE_BOTH(k_reduce_by_layer, "how much dim_k falls from layer to layer");
  PERCEIVE_BOTH(full_attention, "attend to all keys, without a projection along the length");
  PERCEIVE_BOTH(include_ff, "feed-forward parts");
  PERCEIVE_BOTH(w_o_intermediate_dim, "split the output projection in two, with so many channels between");
  PERCEIVE_BOTH(emb_dim, "channels of embedded tokens; null: channels");
  PERCEIVE_BOTH(method, "of the projection along the length: learnable, convolution or no_params");
#undef PERCEIVE_BOTH
  field("activation", o.activation, "gelu or relu, of the feed-forward parts");
  field("checkpoint_level", o.checkpoint_level, "C0; a decoder cannot run in another, as in the original");
}

// Throws core::ConfigError, with the original's message where it has one.
void check(const LinformerConfig& config);

// Of version 0.1.0, with its defaults.
struct TruncatedLinformerConfig {
  int64_t input_size = 8192, channels = 128, dim_k = 64, dim_ff = 256, dim_d = 512;
  double dropout_ff = 0.15;
  int64_t nhead = 4, depth = 1;
  double dropout = 0.1;
  std::string activation = "gelu", checkpoint_level = "C0";
};
// Throws core::ConfigError for an argument that came later.
TruncatedLinformerConfig truncated(const LinformerConfig& config);
void check(const TruncatedLinformerConfig& config);

}  // namespace perceive::models::linformer_pytorch
