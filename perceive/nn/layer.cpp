// Attention and MLP with their residuals.
#include "perceive/nn/layer.h"

#include <ATen/ops/dropout.h>
#include <c10/util/Exception.h>
#include <c10/util/StringUtil.h>

#include "perceive/core/error.h"
#include "perceive/nn/checkpoint.h"
#include "perceive/nn/checks.h"

namespace perceive::nn {

void check(const LayerOptions& options, const AttentionWidths& widths, const std::string& key) {
  check(options.attention, widths, key);
  const int64_t output = resolve(options.attention, widths).output;
  check(options.mlp, output, key);
  require_dropout(key + "residual_dropout", options.residual_dropout);
  require_dropout(key + "mlp_dropout", options.mlp_dropout);
  if (options.attention_residual && output != widths.query) {
    throw core::ConfigError(c10::str(key, "output_channels must be ", widths.query,
                                     ", the channels of the query input, "
                                     "where attention_residual is on; got ",
                                     output));
  }
}

double parameter_count(const LayerOptions& options, const AttentionWidths& widths) {
  return parameter_count(options.attention, widths) +
         parameter_count(options.mlp, resolve(options.attention, widths).output);
}

at::Tensor CrossLayer::weights(const at::Tensor&, const Context&) {
  TORCH_CHECK_NOT_IMPLEMENTED(false, name(), " gives no attention weights");
}
at::Tensor SelfLayer::weights(const at::Tensor&) {
  TORCH_CHECK_NOT_IMPLEMENTED(false, name(), " gives no attention weights");
}

template <class Base>
AttentionLayer<Base>::AttentionLayer(const LayerOptions& options, const AttentionWidths& widths) : options_(options) {
  check(options, widths);
  attention_ = this->register_module("attention", Attention(options.attention, widths));
  mlp_ = this->register_module("mlp", Mlp(options.mlp, resolve(options.attention, widths).output));
}

template <class Base>
at::Tensor AttentionLayer<Base>::finish(const at::Tensor& x, const at::Tensor& attended) {
  const bool training = this->is_training();
  auto a = at::dropout(attended, options_.residual_dropout, training);
  if (options_.attention_residual) a = a + x;
  auto y = at::dropout(mlp_->forward(a), options_.residual_dropout, training);
  y = at::dropout(y, options_.mlp_dropout, training);
  return options_.mlp_residual ? y + a : y;
}

CrossAttentionLayerImpl::CrossAttentionLayerImpl(const LayerOptions& options, int64_t query_channels,
                                                 int64_t context_channels)
    : AttentionLayer(options, {query_channels, context_channels}) {}

at::Tensor CrossAttentionLayerImpl::forward(const at::Tensor& x, const Context& context) {
  if (!options_.activation_checkpointing) return finish(x, attention_->forward(x, context));
  std::vector<at::Tensor> inputs{x};
  for (const auto& source : context.sources) {
    auto described = source;
    for_tensors(described, [&](at::Tensor& tensor) { inputs.push_back(tensor); });
  }
  const auto again = [this, keep = shared_from_this(), context](const std::vector<at::Tensor>& tensors) {
    auto same = context;
    auto next = tensors.begin() + 1;
    for (auto& source : same.sources) {
      for_tensors(source, [&](at::Tensor& tensor) { tensor = *next++; });
    }
    return finish(tensors.front(), attention_->forward(tensors.front(), same));
  };
  return checkpoint(again, inputs, parameters());
}

SelfAttentionLayerImpl::SelfAttentionLayerImpl(const LayerOptions& options, int64_t channels)
    : AttentionLayer(options, {channels, std::nullopt}) {}

at::Tensor SelfAttentionLayerImpl::forward(const at::Tensor& x) {
  if (!options_.activation_checkpointing) return finish(x, attention_->forward(x));
  const auto again = [this, keep = shared_from_this()](const std::vector<at::Tensor>& tensors) {
    return finish(tensors.front(), attention_->forward(tensors.front()));
  };
  return checkpoint(again, {x}, parameters());
}

SelfAttentionBlockImpl::SelfAttentionBlockImpl(const LayerOptions& options, int64_t channels, int64_t layers) {
  require_at_least("layers", layers, 1);
  for (int64_t i = 0; i < layers; ++i) {
    layers_.push_back(register_module(std::to_string(i), SelfAttentionLayer(options, channels)));
  }
}

at::Tensor SelfAttentionBlockImpl::forward(at::Tensor x) {
  for (auto& layer : layers_) x = layer->forward(x);
  return x;
}

}  // namespace perceive::nn
