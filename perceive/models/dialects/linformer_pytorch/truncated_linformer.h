// Linformer of linformer-pytorch 0.1.0, whose E and F are the identity: every token attends to the first dim_k tokens.
//
// Shapes: B batch, n the input_size, C channels, h heads of d channels, k rows of keys and values.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/normalization.h>
#include <torch/nn/pimpl.h>

#include <vector>

#include "perceive/models/dialects/linformer_pytorch/config.h"
#include "perceive/models/dialects/linformer_pytorch/parts.h"

namespace perceive::models::linformer_pytorch {

// Queries, keys and values each pass two linear maps, to_* of the layer and w_* of the head.
class TruncatedAttentionImpl : public torch::nn::Module {
 public:
  explicit TruncatedAttentionImpl(const TruncatedLinformerConfig& config);
  at::Tensor forward(const at::Tensor& x);

 private:
  enum Which { key, query, value };
  at::Tensor heads(Which which, const at::Tensor& x);
  at::Tensor attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v);

  TruncatedLinformerConfig config_;
  std::shared_ptr<torch::nn::Module> heads_;
  std::vector<std::array<torch::nn::Linear, 3>> of_head_;  // w_k, w_q, w_v
  torch::nn::Linear w_o_{nullptr}, to_q_{nullptr}, to_k_{nullptr}, to_v_{nullptr};
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
