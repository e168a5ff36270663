// Attention and MLP with their residuals.
#include "perceive/nn/layer.h"

#include <ATen/ops/dropout.h>
#include <c10/util/StringUtil.h>

#include "perceive/core/error.h"
#include "perceive/nn/checkpoint.h"
#include "perceive/nn/checks.h"

namespace perceive::nn {

void check(const LayerOptions& options, const AttentionWidths& widths, const std::string& key) {
  check(options.attention, widths, key);
  require_at_least(key + "widening_factor", options.widening_factor, 1);
  require_dropout(key + "residual_dropout", options.residual_dropout);
  const int64_t output = resolve(options.attention, widths).output;
  if (options.attention_residual && output != widths.query) {
    throw core::ConfigError(c10::str(key, "output_channels must be ", widths.query,
                                     ", the channels of the query input, "
                                     "where attention_residual is on; got ",
                                     output));
  }
}

double parameter_count(const LayerOptions& options, const AttentionWidths& widths) {
  return parameter_count(options.attention, widths) +
         mlp_parameter_count(resolve(options.attention, widths).output, options.widening_factor);
}

AttentionLayerImpl::AttentionLayerImpl(const LayerOptions& options, const AttentionWidths& widths) : options_(options) {
  check(options, widths);
  attention_ = register_module("attention", Attention(options.attention, widths));
  mlp_ = register_module("mlp", Mlp(resolve(options.attention, widths).output, options.widening_factor));
}

at::Tensor AttentionLayerImpl::finish(const at::Tensor& x, const at::Tensor& attended) {
  auto a = at::dropout(attended, options_.residual_dropout, is_training());
  if (options_.attention_residual) a = a + x;
  auto y = at::dropout(mlp_->forward(a), options_.residual_dropout, is_training());
  return options_.mlp_residual ? y + a : y;
}

CrossAttentionLayerImpl::CrossAttentionLayerImpl(const LayerOptions& options, int64_t query_channels,
                                                 int64_t context_channels)
    : AttentionLayerImpl(options, {query_channels, context_channels}) {}

at::Tensor CrossAttentionLayerImpl::forward(const at::Tensor& x, const ops::Source& context) {
  if (!options_.activation_checkpointing) return finish(x, attention_->forward(x, context));
  std::vector<at::Tensor> inputs{x};
  inputs.insert(inputs.end(), context.positions.axes.begin(), context.positions.axes.end());
  if (context.values.defined()) inputs.push_back(context.values);
  const auto again = [this, keep = shared_from_this(), context](const std::vector<at::Tensor>& tensors) {
    auto source = context;
    auto next = tensors.begin() + 1;
    for (auto& axis : source.positions.axes) axis = *next++;
    if (source.values.defined()) source.values = *next;
    return finish(tensors.front(), attention_->forward(tensors.front(), source));
  };
  return checkpoint(again, inputs, parameters());
}

SelfAttentionLayerImpl::SelfAttentionLayerImpl(const LayerOptions& options, int64_t channels)
    : AttentionLayerImpl(options, {channels, std::nullopt}) {}

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
