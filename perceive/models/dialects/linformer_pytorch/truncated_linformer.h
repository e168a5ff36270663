// Linformer of linformer-pytorch 0.1.0, whose E and F are the identity: every token attends to the first dim_k tokens.
//
// Shapes: B batch, n the input_size, C channels, h heads of d channels, k rows of keys and values.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/modules/normalization.h>
#include <torch/nn/pimpl.h>

#include <algorithm>
#include <array>
#include <memory>
#include <vector>

#include "perceive/models/dialects/linformer_pytorch/config.h"
#include "perceive/models/dialects/linformer_pytorch/parts.h"
#include "perceive/nn/linear.h"

namespace perceive::models::linformer_pytorch {

// Queries, keys and values each pass two linear maps, to_* of the layer and w_* of the head. All maps of the n rows are
// linear: where rows have fewer channels than heads have, the k keys and values absorb them.
class TruncatedAttentionImpl : public torch::nn::Module {
 public:
  explicit TruncatedAttentionImpl(const TruncatedLinformerConfig& config);
  // Of the whole x [B, n, C], for forward(): [B, h, k, …] each.
  std::vector<at::Tensor> keys_and_values(const at::Tensor& x);
  // Of any rows of x.
  at::Tensor forward(const at::Tensor& x, const at::Tensor& keys, const at::Tensor& values);
  // Numbers that forward() holds for a row, in one tensor.
  int64_t width() const { return config_.nhead * std::min(config_.dim_d, config_.channels); }

 private:
  enum Which { key, query, value };
  struct Maps {
    at::Tensor weight, bias;  // [h, d, d], [h, d]
  };
  Maps maps(Which which) const;
  at::Tensor heads(Which which, const at::Tensor& x) const;

  TruncatedLinformerConfig config_;
  bool absorbs_;
  std::vector<std::array<nn::Linear, 3>> of_head_;  // w_k, w_q, w_v
  nn::Linear w_o_{nullptr}, to_q_{nullptr}, to_k_{nullptr}, to_v_{nullptr};
};
TORCH_MODULE(TruncatedAttention);

// LayerNorm(x + attention(x)), then LayerNorm(x + feed_forward(x)), a layer; no gradient goes through `x +`. Parameters
// under the original's names; the same seed gives the same weights.
class TruncatedLinformerImpl : public torch::nn::Module {
 public:
  explicit TruncatedLinformerImpl(const TruncatedLinformerConfig& config);
  // x [B, n, C] to the same sizes.
  at::Tensor forward(at::Tensor x);
  int64_t input_size() const { return config_.input_size; }

 private:
  struct Layer {
    at::Tensor attend(const at::Tensor& x, bool again);
    at::Tensor feed(const at::Tensor& x, bool again);
    std::shared_ptr<torch::nn::Module> module;  // of all that follow
    TruncatedAttention attention;
    torch::nn::LayerNorm attention_norm;
    FeedForward feed_forward;
    torch::nn::LayerNorm feed_forward_norm;
  };
  TruncatedLinformerConfig config_;
  std::vector<Layer> layers_;
};
TORCH_MODULE(TruncatedLinformer);

}  // namespace perceive::models::linformer_pytorch
