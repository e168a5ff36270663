// MHAttention of linformer-pytorch 0.19.3.
//
// Shapes: B batch, n rows of C channels, k rows after the projection, h heads of d channels.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <optional>
#include <vector>

#include "perceive/models/dialects/linformer_pytorch/parts.h"
#include "perceive/models/dialects/linformer_pytorch/projection.h"
#include "perceive/nn/linear.h"
#include "perceive/ops/attend.h"

namespace perceive::models::linformer_pytorch {

// What forward() takes besides its input; all may be undefined.
struct Extras {
  at::Tensor embeddings;       // of the input's sizes: what a decoder's cross-attention reads
  at::Tensor input_mask;       // bool [B | 1, n | 1]: keys and values become zeros where it is false, but still count
  at::Tensor embeddings_mask;  // bool [B | 1, n | 1]: queries become zeros where it is false
  std::vector<at::Tensor>* weights = nullptr;  // gets those of each attention [B, h, n, k], before dropout
  bool any() const { return embeddings.defined() || input_mask.defined() || embeddings_mask.defined() || weights; }
};

// Attention whose scores may be masked.
class MaskedAttention : public torch::nn::Module {
 public:
  // bool [n, k] (full attention: [n, n]), true where a query sees a key, in place of the causal one.
  void set_causal_mask(const at::Tensor& mask);

 protected:
  at::Tensor causal_mask_;
};

struct MHAttentionOptions {
  int64_t input_size = 0, dim = 0, channels = 0, dim_k = 0, nhead = 0;
  double dropout = 0.0;
  CheckpointLevel checkpoint_level = CheckpointLevel::C0;
  ParameterSharing parameter_sharing = ParameterSharing::layerwise;
  bool full_attention = false;
  std::optional<int64_t> causal_rows;  // of the causal mask: query i sees the projected rows j <= i
  std::optional<int64_t> w_o_intermediate_dim;
  bool decoder_mode = false;
  Method method = Method::learnable;
};

// softmax(Q (E K)^T / sqrt(d)) F V, heads side by side, then one or two linear maps. Registers heads (with E and F
// each), to_q, to_k, to_v (one for each head), and w_o, or w_o_1 and w_o_2.
class MHAttentionImpl : public MaskedAttention {
 public:
  // E and F are used with layerwise sharing only; else they are made here. Without full attention they must be there.
  MHAttentionImpl(const MHAttentionOptions& options, const EF& e, const EF& f);
  // x [B, n, C] to the same sizes; or what `behind` makes of x and of that, a block of rows after the other. `again`:
  // as of in_blocks(), and then masks and the wish for weights are ignored.
  at::Tensor forward(const at::Tensor& x, const Extras& extras, const std::shared_ptr<ResidualImpl>& behind,
                     bool again);
  // What `checkpoint_level` says of heads, for the attention on its own.
  at::Tensor forward(const at::Tensor& x, const Extras& extras = {});

 private:
  using Weights = std::vector<at::Tensor>;
  std::vector<at::Tensor> project(const at::Tensor& context);
  at::Tensor projected_mask(const at::Tensor& x, int64_t keys) const;
  at::Tensor attend(const at::Tensor& x, const at::Tensor& mask, const std::vector<at::Tensor>& to, Weights* weights);
  at::Tensor attend_full(const at::Tensor& q, const at::Tensor& context, ops::AttendOptions options, Weights* weights);

  MHAttentionOptions options_;
  std::vector<EF> e_, f_;  // one for all heads, or one for each
  std::vector<nn::Linear> to_q_, to_k_, to_v_;
  nn::Linear w_o_{nullptr}, w_o_1_{nullptr}, w_o_2_{nullptr};
};
TORCH_MODULE(MHAttention);

struct LinearAttentionHeadOptions {
  int64_t dim = 0;  // the scores are divided by its root
  double dropout = 0.0;
  bool full_attention = false;
  std::optional<int64_t> causal_rows;  // as of MHAttention
};

// softmax(Q (E K)^T / sqrt(dim)) F V of one head. Registers E and F, where they are there.
class LinearAttentionHeadImpl : public MaskedAttention {
 public:
  // Without full attention E and F must be there.
  LinearAttentionHeadImpl(const LinearAttentionHeadOptions& options, EF e, EF f);
  // q [B, n, d], k [B, m, d], v [B, m, c]: [B, n, c]. The masks of `extras` are for k and v, and for q; unlike the
  // original this one leaves the caller's tensors as they are.
  at::Tensor forward(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const Extras& extras = {});

 private:
  LinearAttentionHeadOptions options_;
  EF e_, f_;
};
TORCH_MODULE(LinearAttentionHead);

}  // namespace perceive::models::linformer_pytorch
