// The feed-forward part of a layer.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/normalization.h>
#include <torch/nn/pimpl.h>

namespace perceive::nn {

// output(gelu(hidden(norm(x)))) with exact GELU; x [..., C], hidden layer of widening · C.
class MlpImpl : public torch::nn::Module {
 public:
  MlpImpl(int64_t channels, int64_t widening_factor);
  at::Tensor forward(const at::Tensor& x);

 private:
  torch::nn::LayerNorm norm_{nullptr};
  torch::nn::Linear hidden_{nullptr}, output_{nullptr};
};
TORCH_MODULE(Mlp);

double mlp_parameter_count(int64_t channels, int64_t widening_factor);

}  // namespace perceive::nn
