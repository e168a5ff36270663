// The Linformer and its language model from the layers of nn/.
#include "perceive/models/linformer.h"

#include <ATen/ATen.h>
#include <c10/util/StringUtil.h>

#include <cmath>
#include <string>

#include "perceive/core/memory.h"
#include "perceive/nn/checks.h"

namespace perceive::models {
namespace {

bool one_projection(const LinformerOptions& options) {
  return options.layer.attention.projection.sharing == nn::ProjectionSharing::layer;
}

void require_memory(double parameters, const LinformerOptions& options) {
  const auto& projection = options.layer.attention.projection;
  core::require_memory(4 * parameters, c10::str("a model of ", parameters, " parameters (", options.depth,
                                                " layers of ", options.channels, " channels, ", projection.length,
                                                " rows projected to ", projection.projected, ")"));
}

// Embeddings of mean square 1/C: as weights of the output they give logits near 1.
nn::TokenInputOptions input_options(const LinformerLMOptions& options) {
  const double range = std::sqrt(3.0 / static_cast<double>(options.channels));
  return {.vocabulary = options.vocabulary,
          .channels = options.channels,
          .max_length = options.layer.attention.projection.length,
          .embedding_range = range,
          .position_range = range};
}

}  // namespace

double parameter_count(const LinformerOptions& options) {
  const double layer = nn::parameter_count(options.layer, options.channels),
               layers = static_cast<double>(options.depth);
  auto without = options.layer;
  without.attention.full_attention = true;
  const double projection = layer - nn::parameter_count(without, options.channels);
  return layers * (layer - projection) + projection * (one_projection(options) ? 1 : layers) +
         2.0 * static_cast<double>(options.channels);
}

void check(const LinformerOptions& options) {
  nn::require_at_least("channels", options.channels, 1);
  nn::require_at_least("depth", options.depth, 1);
  check(options.layer, options.channels);
  require_memory(parameter_count(options), options);
}

LinformerImpl::LinformerImpl(const LinformerOptions& options) : options_(options) {
  check(options);
  const auto& attention = options.layer.attention;
  nn::LengthProjector shared = nullptr;
  if (one_projection(options)) shared = nn::make_projector(attention, options.channels);
  const auto list = register_module("layers", std::make_shared<torch::nn::Module>());
  for (int64_t i = 0; i < options.depth; ++i) {
    layers_.emplace_back(options.layer, options.channels, shared);
    list->register_module(std::to_string(i), layers_.back());
  }
  norm_ = register_module("norm", torch::nn::LayerNorm(torch::nn::LayerNormOptions({options.channels})));
}

at::Tensor LinformerImpl::forward(at::Tensor x, const at::Tensor& mask) {
  const int64_t length = options_.layer.attention.projection.length;
  TORCH_CHECK_VALUE(x.dim() == 3 && x.size(2) == options_.channels && x.size(1) >= 1 && x.size(1) <= length,
                    "Linformer: expected x [B, n, ", options_.channels, "] with n up to ", length, "; got ", x.sizes());
  TORCH_CHECK_VALUE(!mask.defined() || (mask.scalar_type() == at::kBool && mask.sizes() == x.sizes().slice(0, 2)),
                    "mask: expected bool ", x.sizes().slice(0, 2), ", true where a row counts; got ",
                    mask.defined() ? mask.scalar_type() : at::kBool, " ", mask.defined() ? mask.sizes() : x.sizes());
  if (mask.defined()) x = x.masked_fill(mask.logical_not().unsqueeze(2), 0);
  for (auto& layer : layers_) x = layer->forward(x, mask);
  return norm_->forward(x);
}

double parameter_count(const LinformerLMOptions& options) {
  const double vocabulary = static_cast<double>(options.vocabulary), channels = static_cast<double>(options.channels);
  return nn::parameter_count(input_options(options)) + parameter_count(static_cast<const LinformerOptions&>(options)) +
         vocabulary * (options.tied_output ? 1 : channels + 1);
}

void check(const LinformerLMOptions& options) {
  check(static_cast<const LinformerOptions&>(options));
  check(input_options(options));
  require_memory(parameter_count(options), options);
}

LinformerLMImpl::LinformerLMImpl(const LinformerLMOptions& options) : options_(options) {
  check(options);
  input_ = register_module("input", nn::TokenInput(input_options(options)));
  model_ = register_module("model", Linformer(options));
  if (options.tied_output) {
    bias_ = register_parameter("bias", at::zeros({options.vocabulary}));
  } else {
    output_ = register_module("output", torch::nn::Linear(options.channels, options.vocabulary));
  }
}

at::Tensor LinformerLMImpl::forward(const at::Tensor& ids, const at::Tensor& mask) {
  const auto x = input_->source(ids, mask).values;
  const double dropout = options_.layer.residual_dropout;
  const auto rows = model_->forward(at::dropout(x, dropout, is_training()), mask);
  return output_ ? output_->forward(rows) : at::linear(rows, input_->embeddings(), bias_);
}

}  // namespace perceive::models
