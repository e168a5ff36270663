// Layers of projected attention and an MLP.
#include "perceive/nn/linformer_layer.h"

#include <ATen/ops/dropout.h>

#include "perceive/nn/checkpoint.h"
#include "perceive/nn/checks.h"

namespace perceive::nn {

void check(const LinformerLayerOptions& options, int64_t channels, const std::string& key) {
  check(options.attention, channels, key);
  check(options.mlp, channels, key);
  require_dropout(key + "residual_dropout", options.residual_dropout);
}

double parameter_count(const LinformerLayerOptions& options, int64_t channels) {
  return 2.0 * static_cast<double>(channels) + parameter_count(options.attention, channels, channels) +
         parameter_count(options.mlp, channels);
}

LinformerLayerImpl::LinformerLayerImpl(const LinformerLayerOptions& options, int64_t channels,
                                       const LengthProjector& projector)
    : options_(options) {
  check(options, channels);
  norm_ = register_module("norm", torch::nn::LayerNorm(torch::nn::LayerNormOptions({channels})));
  attention_ = register_module("attention", LinformerAttention(options.attention, channels, projector));
  mlp_ = register_module("mlp", Mlp(options.mlp, channels));
}

at::Tensor LinformerLayerImpl::forward(const at::Tensor& x, const at::Tensor& mask) {
  const Segment layer = [this, keep = shared_from_this(), mask](const std::vector<at::Tensor>& inputs) {
    const double dropout = options_.residual_dropout;
    const auto& given = inputs.front();
    const auto a = given + at::dropout(attention_->forward(norm_->forward(given), mask), dropout, is_training());
    return a + at::dropout(mlp_->forward(a), dropout, is_training());
  };
  return options_.activation_checkpointing ? checkpoint(layer, {x}, parameters()) : layer({x});
}

}  // namespace perceive::nn
