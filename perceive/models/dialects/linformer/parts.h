// What the layers of linformer 0.2.3 are made of besides attention.
#pragma once

#include <ATen/ATen.h>
#include <torch/nn/module.h>
#include <torch/nn/modules/normalization.h>
#include <torch/nn/pimpl.h>

#include <utility>

#include "perceive/nn/linear.h"

namespace perceive::models::linformer {

// w2(dropout(gelu(w1(x)))) with four times the channels between; gelu by erf.
class FeedForwardImpl : public torch::nn::Module {
 public:
  FeedForwardImpl(int64_t channels, double dropout) : dropout_(dropout) {
    w1_ = register_module("w1", nn::Linear(channels, 4 * channels));
    w2_ = register_module("w2", nn::Linear(4 * channels, channels));
  }
  // x [..., channels] to the same sizes.
  at::Tensor forward(const at::Tensor& x) {
    return w2_->forward(at::dropout(at::gelu(w1_->forward(x)), dropout_, is_training()));
  }

 private:
  double dropout_;
  nn::Linear w1_{nullptr}, w2_{nullptr};
};
TORCH_MODULE(FeedForward);

// fn(LayerNorm(x)). Fn: the holder of a module with forward(x).
template <class Fn>
class PreNormImpl : public torch::nn::Module {
 public:
  PreNormImpl(int64_t channels, Fn fn) : fn_(register_module("fn", std::move(fn))) {
    norm_ = register_module("norm", torch::nn::LayerNorm(torch::nn::LayerNormOptions({channels})));
  }
  // x [..., channels].
  at::Tensor forward(const at::Tensor& x) { return fn_->forward(norm_->forward(x)); }

 private:
  Fn fn_;
  torch::nn::LayerNorm norm_{nullptr};
};
template <class Fn>
using PreNorm = torch::nn::ModuleHolder<PreNormImpl<Fn>>;

}  // namespace perceive::models::linformer
