// The feed-forward part of a layer.
#include "perceive/nn/mlp.h"

#include <ATen/ops/gelu.h>
#include <ATen/ops/glu.h>

#include "perceive/nn/checks.h"

namespace perceive::nn {
namespace {

int64_t hidden_channels(const MlpOptions& options, int64_t channels) {
  return options.hidden_channels.value_or(options.widening_factor * channels);
}
// Of the first linear layer.
int64_t computed_channels(const MlpOptions& options, int64_t channels) {
  return hidden_channels(options, channels) * (options.activation == MlpActivation::gelu ? 1 : 2);
}

at::Tensor activate(const at::Tensor& x, MlpActivation activation) {
  if (activation == MlpActivation::gelu) return at::gelu(x);
  if (activation == MlpActivation::glu) return at::glu(x, -1);
  const auto halves = x.chunk(2, -1);
  return halves[0] * at::gelu(halves[1]);
}

}  // namespace

void check(const MlpOptions& options, int64_t channels, const std::string& key) {
  require_at_least(key + "channels", channels, 1);
  require_at_least(key + "widening_factor", options.widening_factor, 1);
  if (options.hidden_channels) require_at_least(key + "hidden_channels", *options.hidden_channels, 1);
}

double parameter_count(const MlpOptions& options, int64_t channels) {
  const double width = static_cast<double>(channels),
               hidden = options.hidden_channels ? static_cast<double>(*options.hidden_channels)
                                                : static_cast<double>(options.widening_factor) * width,
               computed = hidden * (options.activation == MlpActivation::gelu ? 1 : 2);
  return 2 * width + (width + 1) * computed + (hidden + 1) * width;
}

MlpImpl::MlpImpl(const MlpOptions& options, int64_t channels) : activation_(options.activation) {
  check(options, channels);
  norm_ = register_module("norm", torch::nn::LayerNorm(torch::nn::LayerNormOptions({channels})));
  hidden_ = register_module("hidden", Linear(channels, computed_channels(options, channels)));
  output_ = register_module("output", Linear(hidden_channels(options, channels), channels));
}

at::Tensor MlpImpl::forward(const at::Tensor& x) {
  return output_->forward(activate(hidden_->forward(norm_->forward(x)), activation_));
}

}  // namespace perceive::nn
