// The feed-forward part of a layer.
#include "perceive/nn/mlp.h"

#include <ATen/ops/gelu.h>

#include "perceive/nn/checks.h"

namespace perceive::nn {

MlpImpl::MlpImpl(int64_t channels, int64_t widening_factor) {
  require_at_least("channels", channels, 1);
  require_at_least("widening_factor", widening_factor, 1);
  norm_ = register_module("norm", torch::nn::LayerNorm(torch::nn::LayerNormOptions({channels})));
  hidden_ = register_module("hidden", torch::nn::Linear(channels, widening_factor * channels));
  output_ = register_module("output", torch::nn::Linear(widening_factor * channels, channels));
}

at::Tensor MlpImpl::forward(const at::Tensor& x) {
  return output_->forward(at::gelu(hidden_->forward(norm_->forward(x))));
}

double mlp_parameter_count(int64_t channels, int64_t widening_factor) {
  const double width = static_cast<double>(channels), hidden = width * static_cast<double>(widening_factor);
  return 2 * width + 2 * width * hidden + hidden + width;
}

}  // namespace perceive::nn
