// LinformerSelfAttention of linformer 0.2.3: attention to keys and values that are projected along the length (Wang et
// al. 2020, Linformer, arXiv 2006.04768).
//
// Shapes: B batch, n rows of queries, m rows of keys and values, C channels, k rows after the projection, h heads of d
// channels.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include "perceive/models/dialects/linformer/config.h"
#include "perceive/nn/linear.h"

namespace perceive::models::linformer {

// softmax(Q (E K)^T / sqrt(d)) F V, heads side by side, then a linear map. E and F are the transposes of proj_k and
// proj_v [seq_len, k], one for all heads. Names and initial weights as in the original.
class LinformerSelfAttentionImpl : public torch::nn::Module {
 public:
  // Throws core::ConfigError.
  explicit LinformerSelfAttentionImpl(const LinformerSelfAttentionConfig& config);
  // x [B, n, C] over the rows of `context` [B, m, C], undefined: of x itself. To the sizes of x. n is of any size, m at
  // most seq_len: the first m rows of the projections are taken. Throws c10::ValueError for other shapes.
  at::Tensor forward(const at::Tensor& x, const at::Tensor& context = {});

 private:
  void require_shapes(const at::Tensor& x, const at::Tensor& context) const;
  at::Tensor projected(const at::Tensor& context, const nn::Linear& to, const at::Tensor& projection) const;

  LinformerSelfAttentionConfig config_;
  nn::Linear to_q_{nullptr}, to_k_{nullptr}, to_v_{nullptr}, to_out_{nullptr};
  at::Tensor proj_k_, proj_v_;  // proj_v_ is undefined where keys are the values
};
TORCH_MODULE(LinformerSelfAttention);

}  // namespace perceive::models::linformer
