// The Linformer and its language model from the layers of nn/.
#include "perceive/models/linformer.h"

#include <ATen/ATen.h>
#include <c10/util/StringUtil.h>

#include <cmath>
#include <string>

#include "perceive/core/memory.h"
#include "perceive/nn/checks.h"
#include "perceive/ops/linear.h"

namespace perceive::models {
namespace {

bool one_projection(const nn::LinformerAttentionOptions& options) {
  return options.projection.sharing == nn::ProjectionSharing::layer;
}

// Of `layers` attentions.
double attention_parameters(const nn::LinformerAttentionOptions& options, int64_t channels, int64_t context_channels,
                            int64_t layers) {
  auto without = options;
  without.full_attention = true;
  const double maps = nn::parameter_count(without, channels, context_channels);
  const double projection = nn::parameter_count(options, channels, context_channels) - maps;
  return static_cast<double>(layers) * maps + projection * static_cast<double>(one_projection(options) ? 1 : layers);
}

void require_memory(double parameters, const LinformerOptions& options) {
  const auto& projection = options.layer.attention.projection;
  core::require_memory(4 * parameters, c10::str("a model of ", parameters, " parameters (", options.depth,
                                                " layers of ", options.channels, " channels, ", projection.length,
                                                " rows projected to ", projection.projected, ")"));
}

// Embeddings of mean square 1/C: as weights of the output they give logits near 1.
nn::TokenInputOptions input_options(const LinformerEncoderOptions& options) {
  const double range = std::sqrt(3.0 / static_cast<double>(options.channels));
  return {.vocabulary = options.vocabulary,
          .channels = options.channels,
          .max_length = options.layer.attention.projection.length,
          .embedding_range = range,
          .position_range = range};
}

}  // namespace

double parameter_count(const LinformerOptions& options, const std::optional<nn::ReadingOptions>& reading) {
  const int64_t channels = options.channels;
  const double norm = 2.0 * static_cast<double>(channels), layers = static_cast<double>(options.depth);
  double count = norm + layers * (norm + nn::parameter_count(options.layer.mlp, channels)) +
                 attention_parameters(options.layer.attention, channels, channels, options.depth);
  if (reading) {
    count +=
        layers * norm + attention_parameters(reading->attention, channels, reading->context_channels, options.depth);
  }
  return count;
}

void check(const LinformerOptions& options, const std::string& key) {
  nn::require_at_least(key + "channels", options.channels, 1);
  nn::require_at_least(key + "depth", options.depth, 1);
  check(options.layer, options.channels, key);
  require_memory(parameter_count(options), options);
}

LinformerImpl::LinformerImpl(const LinformerOptions& options, const std::optional<nn::ReadingOptions>& reading)
    : options_(options) {
  check(options);
  nn::SharedProjectors shared;
  const auto& attention = options.layer.attention;
  if (one_projection(attention)) shared.own = nn::make_projector(attention, options.channels);
  if (reading && one_projection(reading->attention)) {
    shared.context = nn::make_projector(reading->attention, options.channels);
  }
  const auto list = register_module("layers", std::make_shared<torch::nn::Module>());
  for (int64_t i = 0; i < options.depth; ++i) {
    layers_.emplace_back(options.layer, options.channels, reading, shared);
    list->register_module(std::to_string(i), layers_.back());
  }
  norm_ = register_module("norm", torch::nn::LayerNorm(torch::nn::LayerNormOptions({options.channels})));
}

at::Tensor LinformerImpl::forward(at::Tensor x, const at::Tensor& mask, const at::Tensor& context,
                                  const at::Tensor& context_mask) {
  const int64_t length = options_.layer.attention.projection.length;
  TORCH_CHECK_VALUE(x.dim() == 3 && x.size(2) == options_.channels && x.size(1) >= 1 && x.size(1) <= length,
                    "Linformer: expected x [B, n, ", options_.channels, "] with n up to ", length, "; got ", x.sizes());
  TORCH_CHECK_VALUE(!mask.defined() || (mask.scalar_type() == at::kBool && mask.sizes() == x.sizes().slice(0, 2)),
                    "mask: expected bool ", x.sizes().slice(0, 2), ", true where a row counts; got ",
                    mask.defined() ? mask.scalar_type() : at::kBool, " ", mask.defined() ? mask.sizes() : x.sizes());
  if (mask.defined()) x = x.masked_fill(mask.logical_not().unsqueeze(2), 0);
  for (auto& layer : layers_) x = layer->forward(x, mask, context, context_mask);
  return norm_->forward(x);
}

double parameter_count(const LinformerEncoderOptions& options) {
  return nn::parameter_count(input_options(options)) + parameter_count(static_cast<const LinformerOptions&>(options));
}

void check(const LinformerEncoderOptions& options, const std::string& key) {
  check(static_cast<const LinformerOptions&>(options), key);
  check(input_options(options), key);
  require_memory(parameter_count(options), options);
}

LinformerEncoderImpl::LinformerEncoderImpl(const LinformerEncoderOptions& options,
                                           const std::optional<nn::ReadingOptions>& reading)
    : dropout_(options.layer.residual_dropout) {
  check(options);
  input_ = register_module("input", nn::TokenInput(input_options(options)));
  model_ = register_module("model", Linformer(options, reading));
}

at::Tensor LinformerEncoderImpl::encode(const at::Tensor& ids, const at::Tensor& mask, const at::Tensor& context,
                                        const at::Tensor& context_mask) {
  const auto x = at::dropout(input_->source(ids, mask).values, dropout_, is_training());
  return model_->forward(x, mask, context, context_mask);
}

double parameter_count(const LinformerLMOptions& options) {
  const double vocabulary = static_cast<double>(options.vocabulary), channels = static_cast<double>(options.channels);
  return parameter_count(static_cast<const LinformerEncoderOptions&>(options)) +
         vocabulary * (options.tied_output ? 1 : channels + 1);
}

void check(const LinformerLMOptions& options, const std::string& key) {
  check(static_cast<const LinformerEncoderOptions&>(options), key);
  require_memory(parameter_count(options), options);
}

LinformerLMImpl::LinformerLMImpl(const LinformerLMOptions& options, const std::optional<nn::ReadingOptions>& reading)
    : LinformerEncoderImpl((check(options), options), reading), options_(options) {
  if (options.tied_output) {
    bias_ = register_parameter("bias", at::zeros({options.vocabulary}));
  } else {
    output_ = register_module("output", nn::Linear(options.channels, options.vocabulary));
  }
}

at::Tensor LinformerLMImpl::logits(const at::Tensor& rows) {
  return output_ ? output_->forward(rows) : ops::linear(rows, input_->embeddings(), bias_);
}

at::Tensor LinformerLMImpl::forward(const at::Tensor& ids, const at::Tensor& mask, const at::Tensor& context,
                                    const at::Tensor& context_mask) {
  return logits(encode(ids, mask, context, context_mask));
}

at::Tensor LinformerLMImpl::forward_at(const at::Tensor& ids, const at::Tensor& mask, const at::Tensor& places) {
  return logits(encode(ids, mask).index({places}));
}

at::Tensor LinformerLMImpl::generate(const at::Tensor& ids, const GenerateOptions& options, const at::Tensor& context,
                                     const at::Tensor& context_mask) {
  const auto& attention = options_.layer.attention;
  TORCH_CHECK_VALUE(attention.causal, "generate: the model must be causal, since it is to answer for what comes next");
  const auto next = [&](const at::Tensor& so_far) {
    return logits(encode(so_far, {}, context, context_mask).select(1, -1));
  };
  return models::generate(next, ids, attention.projection.length, options_.vocabulary, options);
}

}  // namespace perceive::models
