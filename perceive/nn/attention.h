// Multi-head attention of an array over itself, or over a described input.
//
// Shapes: B batch, N queries, C their channels, M keys, K their width, H heads.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/normalization.h>
#include <torch/nn/pimpl.h>

#include <optional>
#include <string>

#include "perceive/ops/attend.h"

namespace perceive::nn {

struct AttentionOptions {
  int64_t heads = 1;
  std::optional<int64_t> qk_channels;
  std::optional<int64_t> v_channels;
  std::optional<int64_t> output_channels;
  bool normalize_query = true;
  bool normalize_context = true;
  bool qkv_bias = true;
  double dropout = 0.0;
};
template <class Visitor>
void visit(AttentionOptions& o, Visitor&& field) {
  field("heads", o.heads, "attention heads; must divide qk_channels and v_channels");
  field("qk_channels", o.qk_channels, "channels of queries and keys over all heads; default: those of the query input");
  field("v_channels", o.v_channels, "channels of values over all heads; default: qk_channels");
  field("output_channels", o.output_channels, "channels of the result; default: those of the query input");
  field("normalize_query", o.normalize_query,
        "LayerNorm before the query projection (self-attention: before all three)");
  field("normalize_context", o.normalize_context, "LayerNorm before the key and value projections of cross-attention");
  field("qkv_bias", o.qkv_bias, "biases on the query, key and value projections");
  field("dropout", o.dropout, "probability of dropping an attention weight");
}

// Widths of what attention reads; context: K, or nothing for self-attention.
struct AttentionWidths {
  int64_t query = 0;
  std::optional<int64_t> context;
};

// The options with every default filled in.
struct AttentionChannels {
  int64_t qk, v, output;
};
AttentionChannels resolve(const AttentionOptions& options, const AttentionWidths& widths);
// Throws core::ConfigError; `key` is put in front of each option's name ("encoder.cross.").
void check(const AttentionOptions& options, const AttentionWidths& widths, const std::string& key = "");
double parameter_count(const AttentionOptions& options, const AttentionWidths& widths);

// softmax(Q K^T / sqrt(D)) V per head, heads side by side (head-major), then the output projection. Registers
// query_norm and context_norm (self-attention: norm), then query, key, value, output.
class AttentionImpl : public torch::nn::Module {
 public:
  AttentionImpl(const AttentionOptions& options, const AttentionWidths& widths);

  // Self-attention: x [B, N, C] to [B, N, output].
  at::Tensor forward(const at::Tensor& x);
  // Cross-attention: x [B | 1, N, C] over the keys of `context`, to [B, N, output]. A query left without keys gets the
  // output projection's bias.
  at::Tensor forward(const at::Tensor& x, const ops::Source& context);
  // The weights [B, H, N, M] of the same cross-attention, before dropout.
  at::Tensor weights(const at::Tensor& x, const ops::Source& context);

 private:
  at::Tensor queries(const at::Tensor& x, const ops::Source& context);
  ops::Projection projection() const;
  ops::AttendOptions attend_options() const;

  AttentionOptions options_;
  AttentionWidths widths_;
  torch::nn::LayerNorm query_norm_{nullptr}, context_norm_{nullptr};
  torch::nn::Linear query_{nullptr}, key_{nullptr}, value_{nullptr}, output_{nullptr};
};
TORCH_MODULE(Attention);

}  // namespace perceive::nn
