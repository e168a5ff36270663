// A model for inputs of any length up to its own.
#pragma once

#include <ATen/ATen.h>
#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <utility>

namespace perceive::models::linformer_pytorch {

// Net: the holder of a module with input_size() and forward(x [B, input_size, …], …). As in the original, nothing tells
// the net which rows are padding, so that they change the others.
template <class Net>
class PadderImpl : public torch::nn::Module {
 public:
  explicit PadderImpl(Net net) : net_(register_module("net", std::move(net))) {}

  // x [B, n, …] with n up to input_size, filled up with zeros (tokens: 0); the first n rows of what the net gives. What
  // else forward() takes must have the length input_size.
  template <class... Others>
  at::Tensor forward(const at::Tensor& x, Others&&... others) {
    const int64_t length = net_->input_size();
    TORCH_CHECK_VALUE(x.dim() >= 2 && x.size(1) <= length, "Padder: expected [B, n, …] with n up to ", length, "; got ",
                      x.sizes());
    auto sizes = x.sizes().vec();
    sizes[1] = length - x.size(1);
    const auto filled = at::cat({x, at::zeros(sizes, x.options())}, 1);
    return net_->forward(filled, std::forward<Others>(others)...).narrow(1, 0, x.size(1));
  }
  Net& net() { return net_; }

 private:
  Net net_;
};
template <class Net>
using Padder = torch::nn::ModuleHolder<PadderImpl<Net>>;

}  // namespace perceive::models::linformer_pytorch
