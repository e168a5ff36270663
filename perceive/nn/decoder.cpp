// The Perceiver IO decoder.
#include "perceive/nn/decoder.h"

namespace perceive::nn {

void check(const DecoderOptions& options, int64_t query_channels, int64_t latent_channels, const std::string& key) {
  check(options.cross, {query_channels, latent_channels}, key + "cross.");
}

DecoderImpl::DecoderImpl(const DecoderOptions& options, std::shared_ptr<OutputAdapter> output,
                         int64_t latent_channels) {
  check(options, output->query_channels(), latent_channels);
  output_ = register_module("output", std::move(output));
  cross_ = register_module("cross", CrossAttentionLayer(options.cross, output_->query_channels(), latent_channels));
}

at::Tensor DecoderImpl::forward(const at::Tensor& latents) {
  return output_->forward(cross_->forward(output_->queries(), ops::Source::of(latents)));
}

at::Tensor DecoderImpl::weights(const at::Tensor& latents) {
  return cross_->weights(output_->queries(), ops::Source::of(latents));
}

}  // namespace perceive::nn
