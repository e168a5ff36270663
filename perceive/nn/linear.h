// torch::nn::Linear on ops::linear: the same parameters, drawn the same way.
#pragma once

#include <torch/nn/modules/linear.h>
#include <torch/nn/pimpl.h>

#include "perceive/ops/linear.h"

namespace perceive::nn {

class LinearImpl : public torch::nn::LinearImpl {
 public:
  using torch::nn::LinearImpl::LinearImpl;
  // x [..., in] gives [..., out].
  at::Tensor forward(const at::Tensor& x) { return ops::linear(x, weight, bias); }
};
TORCH_MODULE(Linear);

}  // namespace perceive::nn
