// The Perceiver's encoder.
#include "perceive/nn/encoder.h"

#include <c10/util/StringUtil.h>

#include "perceive/core/error.h"
#include "perceive/nn/checks.h"
#include "perceive/nn/learned_array.h"

namespace perceive::nn {
namespace {

bool has_first_cross(const EncoderOptions& o) {
  return o.num_cross_layers > 1 && !o.first_cross_layer_shared;
}
bool has_first_block(const EncoderOptions& o) {
  return o.num_self_blocks > 1 && !o.first_self_block_shared;
}

}  // namespace

void check(const EncoderOptions& options, int64_t input_channels, const std::string& key) {
  require_at_least(key + "num_latents", options.num_latents, 1);
  require_at_least(key + "num_latent_channels", options.num_latent_channels, 1);
  require_at_least(key + "num_cross_layers", options.num_cross_layers, 1);
  require_at_least(key + "num_self_blocks", options.num_self_blocks, 1);
  require_at_least(key + "num_self_layers_per_block", options.num_self_layers_per_block, 1);
  if (options.num_cross_layers > options.num_self_blocks) {
    throw core::ConfigError(c10::str(key, "num_cross_layers must be at most ", key,
                                     "num_self_blocks, since each reading "
                                     "of the input precedes a block; got ",
                                     options.num_cross_layers, " and ", options.num_self_blocks));
  }
  check(options.cross, {options.num_latent_channels, input_channels}, key + "cross.");
  check(options.self, {options.num_latent_channels, std::nullopt}, key + "self.");
}

double parameter_count(const EncoderOptions& options, int64_t input_channels) {
  const int64_t channels = options.num_latent_channels;
  const double cross = parameter_count(options.cross, {channels, input_channels});
  const double block =
      static_cast<double>(options.num_self_layers_per_block) * parameter_count(options.self, {channels, std::nullopt});
  return static_cast<double>(options.num_latents) * static_cast<double>(channels) +
         cross * (has_first_cross(options) ? 2 : 1) + block * (has_first_block(options) ? 2 : 1);
}

double kept_numbers(const EncoderOptions& options) {
  const double layers =
      static_cast<double>(options.num_cross_layers) +
      static_cast<double>(options.num_self_blocks) * static_cast<double>(options.num_self_layers_per_block);
  return layers * static_cast<double>(options.num_latents) * static_cast<double>(options.num_latent_channels);
}

EncoderImpl::EncoderImpl(const EncoderOptions& options, int64_t input_channels) : options_(options) {
  check(options, input_channels);
  const int64_t channels = options.num_latent_channels;
  const auto cross = [&] { return CrossAttentionLayer(options.cross, channels, input_channels); };
  const auto block = [&] { return SelfAttentionBlock(options.self, channels, options.num_self_layers_per_block); };
  // The order in which perceiver-io 0.2.1 draws its weights: the same seed gives the same model.
  cross_ = register_module("cross", cross());
  block_ = register_module("block", block());
  if (has_first_cross(options)) first_cross_ = register_module("first_cross", cross());
  if (has_first_block(options)) first_block_ = register_module("first_block", block());
  latents_ = register_parameter("latents", learned_array(options.num_latents, channels));
}

at::Tensor EncoderImpl::forward(const ops::Source& source) {
  return run(source, nullptr);
}

std::pair<at::Tensor, at::Tensor> EncoderImpl::forward_with_weights(const ops::Source& source) {
  at::Tensor reader;
  auto latents = run(source, &reader);
  return {std::move(latents), cross_->weights(reader, source)};
}

at::Tensor EncoderImpl::run(const ops::Source& source, at::Tensor* reader) {
  // One array for the whole batch until the first cross-attention tells its samples apart.
  at::Tensor z = latents_.unsqueeze(0);
  for (int64_t i = 0; i < options_.num_self_blocks; ++i) {
    if (i < options_.num_cross_layers) {
      if (reader) *reader = z;
      z = (i == 0 && first_cross_ ? first_cross_ : cross_)->forward(z, source);
    }
    z = (i == 0 && first_block_ ? first_block_ : block_)->forward(z);
  }
  return z;
}

}  // namespace perceive::nn
