// What the models of linformer-pytorch are made of besides attention.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/normalization.h>
#include <torch/nn/pimpl.h>

#include <memory>

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

// LayerNorm(x + y), where x takes another width by a linear map `resample`. Registers `fn`, whose result y is.
class ResidualImpl : public torch::nn::Module {
 public:
  ResidualImpl(std::shared_ptr<torch::nn::Module> fn, int64_t input_channels, int64_t output_channels);
  at::Tensor forward(const at::Tensor& x, const at::Tensor& y);

 private:
  torch::nn::Linear resample_{nullptr};
  torch::nn::LayerNorm norm_{nullptr};
};
TORCH_MODULE(Residual);

// Sines, then cosines of each place over wavelengths up to 2 pi 100,000. Keeps its frequencies as a buffer.
class PositionalEmbeddingImpl : public torch::nn::Module {
 public:
  explicit PositionalEmbeddingImpl(int64_t channels);  // even
  // x [B, n, …] to [1, n, channels], in the precision of the module.
  at::Tensor forward(const at::Tensor& x);

 private:
  at::Tensor inv_freq_;
};
TORCH_MODULE(PositionalEmbedding);

// x [B, input_size, channels], or an error with the original's words.
void require_input(const at::Tensor& x, int64_t input_size, int64_t channels);

}  // namespace perceive::models::linformer_pytorch
