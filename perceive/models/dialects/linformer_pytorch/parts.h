// What the models of linformer-pytorch are made of besides attention.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/pimpl.h>

#include "perceive/models/dialects/linformer_pytorch/config.h"

namespace perceive::models::linformer_pytorch {

struct FeedForwardOptions {
  int64_t input_channels = 0, output_channels = 0, hidden_channels = 0;
  double dropout = 0.0, output_dropout = 0.0;
  Activation activation = Activation::gelu;
};

// w_2(activation(w_1(x))), x [..., input_channels].
class FeedForwardImpl : public torch::nn::Module {
 public:
  explicit FeedForwardImpl(const FeedForwardOptions& options);
  at::Tensor forward(const at::Tensor& x);

 private:
  FeedForwardOptions options_;
  torch::nn::Linear w_1_{nullptr}, w_2_{nullptr};
};
TORCH_MODULE(FeedForward);

// x [B, input_size, channels], or an error with the original's words.
void require_input(const at::Tensor& x, int64_t input_size, int64_t channels);

}  // namespace perceive::models::linformer_pytorch
