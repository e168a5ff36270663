// Attention over the depth: each latent mixes what it was after every block so far.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <vector>

#include "perceive/nn/linear.h"

namespace perceive::nn {

struct DepthAttentionOptions {
  int64_t rank = 64;
  bool normalize = true;
};
template <class Visitor>
void visit(DepthAttentionOptions& o, Visitor&& field) {
  field("rank", o.rank, "channels between the two matrices that give the scores");
  field("normalize", o.normalize, "RMSNorm before them");
}

// y = sum over l of a_l h_l, where a = softmax over l of expand(reduce(norm(h_l))), for every channel by itself
// (perceiver-pytorch 0.10.1, attn_residual). Registers norm_weight (ones), reduce and expand, both without biases.
class DepthAttentionImpl : public torch::nn::Module {
 public:
  DepthAttentionImpl(const DepthAttentionOptions& options, int64_t channels);
  // At least one tensor, all [B, N, C]; [B, N, C].
  at::Tensor forward(const std::vector<at::Tensor>& history);

 private:
  at::Tensor norm_weight_;
  Linear reduce_{nullptr}, expand_{nullptr};
};
TORCH_MODULE(DepthAttention);

}  // namespace perceive::nn
