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
// What the backward pass computes again: nothing, every attention and feed-forward part, and within them every head.
enum class CheckpointLevel { C0, C1, C2 };
// Which projections along the length are one: none, those of a layer's heads, its E and F too, those of all layers.
enum class ParameterSharing { none, headwise, kv, layerwise };
enum class Method { learnable, convolution, no_params };

// Of a name, as an argument holds it. Throw core::ConfigError with the original's message.
Activation activation_of(const std::string& name);
CheckpointLevel checkpoint_level_of(const std::string& name);
ParameterSharing parameter_sharing_of(const std::string& name);
Method method_of(const std::string& name);

struct LinformerConfig {
  static constexpr const char* kName = "Linformer";
  std::optional<int64_t> input_size, channels, dim_k;
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
  field(
      "checkpoint_level", o.checkpoint_level,
      "what the backward pass computes again: C0 nothing, C1 each part, C2 heads once more; the numbers are the same");
  field("parameter_sharing", o.parameter_sharing,
        "which projections are one: none, headwise (a layer's heads), kv (E and F too), layerwise (all layers)");
  field("k_reduce_by_layer", o.k_reduce_by_layer, "how much dim_k falls from layer to layer; not where all share one");
  field("full_attention", o.full_attention, "attend to all keys, without a projection along the length");
  field("include_ff", o.include_ff, "feed-forward parts");
  field("w_o_intermediate_dim", o.w_o_intermediate_dim,
        "split the output projection in two, with so many channels between");
  field("decoder_mode", o.decoder_mode, "cross-attention to `embeddings` behind each self-attention");
  field("causal", o.causal,
        "query i sees the first i + 1 projected keys, which does not hide later tokens; with full_attention it does");
  field("method", o.method, "of the projection along the length: learnable, convolution or no_params (random, fixed)");
  field("ff_intermediate", o.ff_intermediate, "channels between the first layer and the last; not with layerwise");
}

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
