// Layers of projected attention and an MLP.
#include "perceive/nn/linformer_layer.h"

#include <ATen/ops/dropout.h>
#include <c10/util/Exception.h>

#include "perceive/nn/checkpoint.h"
#include "perceive/nn/checks.h"

namespace perceive::nn {

void check(const LinformerLayerOptions& options, int64_t channels, const std::string& key) {
  check(options.attention, channels, key);
  check(options.mlp, channels, key);
  require_dropout(key + "residual_dropout", options.residual_dropout);
}

LinformerLayerImpl::LinformerLayerImpl(const LinformerLayerOptions& options, int64_t channels,
                                       const std::optional<ReadingOptions>& reading, const SharedProjectors& shared)
    : options_(options) {
  check(options, channels);
  const auto norm = [channels] { return torch::nn::LayerNorm(torch::nn::LayerNormOptions({channels})); };
  norm_ = register_module("norm", norm());
  attention_ = register_module("attention", LinformerAttention(options.attention, channels, shared.own));
  if (reading) {
    cross_norm_ = register_module("cross_norm", norm());
    cross_ = register_module(
        "cross", LinformerAttention(reading->attention, channels, shared.context, reading->context_channels));
  }
  mlp_ = register_module("mlp", Mlp(options.mlp, channels));
}

at::Tensor LinformerLayerImpl::forward(const at::Tensor& x, const at::Tensor& mask, const at::Tensor& context,
                                       const at::Tensor& context_mask) {
  TORCH_CHECK_VALUE(context.defined() == static_cast<bool>(cross_), "LinformerLayer: a context ",
                    cross_ ? "is missing" : "was given to a layer that reads none");
  const Segment layer = [this, keep = shared_from_this(), mask, context_mask](const std::vector<at::Tensor>& given) {
    const auto dropped = [this](const at::Tensor& y) {
      return at::dropout(y, options_.residual_dropout, is_training());
    };
    auto a = given[0] + dropped(attention_->forward(norm_->forward(given[0]), mask));
    if (cross_) a = a + dropped(cross_->read(cross_norm_->forward(a), given[1], context_mask));
    return a + dropped(mlp_->forward(a));
  };
  std::vector<at::Tensor> inputs{x};
  if (context.defined()) inputs.push_back(context);
  return options_.activation_checkpointing ? checkpoint(layer, inputs, parameters()) : layer(inputs);
}

}  // namespace perceive::nn
