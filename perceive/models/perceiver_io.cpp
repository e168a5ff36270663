// Perceiver IO from the layers of nn/.
#include "perceive/models/perceiver_io.h"

#include <ATen/ops/matmul.h>
#include <c10/core/GradMode.h>
#include <c10/util/StringUtil.h>

#include <tuple>

#include "perceive/core/memory.h"

namespace perceive::models {
namespace {

std::shared_ptr<nn::InputAdapter> make_adapter(const nn::ImageInputOptions& options) {
  return nn::ImageInput(options).ptr();
}
std::shared_ptr<nn::OutputAdapter> make_adapter(const nn::ClassificationOutputOptions& options) {
  return nn::ClassificationOutput(options).ptr();
}
int64_t input_width(const PerceiverIOOptions& options) {
  return std::visit([](const auto& input) { return nn::width(input); }, options.input);
}
int64_t query_channels(const PerceiverIOOptions& options) {
  return std::visit([](const auto& output) { return output.query_channels; }, options.output);
}

}  // namespace

double parameter_count(const PerceiverIOOptions& options) {
  return nn::parameter_count(options.encoder, input_width(options)) +
         std::visit([](const auto& output) { return nn::parameter_count(output); }, options.output) +
         nn::parameter_count(options.decoder.cross, {query_channels(options), options.encoder.num_latent_channels});
}

void check(const PerceiverIOOptions& options) {
  std::visit([](const auto& input) { check(input, "input."); }, options.input);
  std::visit([](const auto& output) { check(output, "output."); }, options.output);
  check(options.encoder, input_width(options), "encoder.");
  check(options.decoder, query_channels(options), options.encoder.num_latent_channels, "decoder.");
  const double parameters = parameter_count(options);
  core::require_memory(
      4 * (parameters + nn::kept_numbers(options.encoder)),
      c10::str("a model of ", parameters, " parameters (", options.encoder.num_latents, " latents of ",
               options.encoder.num_latent_channels, " channels, ", options.encoder.num_self_blocks, " blocks of ",
               options.encoder.num_self_layers_per_block, " layers) with one sample to train on"));
}

PerceiverIOImpl::PerceiverIOImpl(const PerceiverIOOptions& options) {
  check(options);
  const auto adapter = [](const auto& choice) { return make_adapter(choice); };
  input_ = register_module("input", std::visit(adapter, options.input));
  encoder_ = register_module("encoder", nn::Encoder(options.encoder, input_->width()));
  decoder_ = register_module("decoder", nn::Decoder(options.decoder, std::visit(adapter, options.output),
                                                    options.encoder.num_latent_channels));
}

at::Tensor PerceiverIOImpl::forward(const at::Tensor& input, const at::Tensor& mask) {
  return decoder_->forward(encode(input, mask));
}

at::Tensor PerceiverIOImpl::encode(const at::Tensor& input, const at::Tensor& mask) {
  return encoder_->forward(input_->source(input, mask));
}

AttentionMaps PerceiverIOImpl::attention_maps(const at::Tensor& input, const at::Tensor& mask) {
  const at::NoGradGuard no_grad;
  AttentionMaps maps;
  at::Tensor latents;
  std::tie(latents, maps.latents_to_input) = encoder_->forward_with_weights(input_->source(input, mask));
  maps.queries_to_latents = decoder_->weights(latents);
  const auto queries = maps.queries_to_latents.mean({1, 2});  // [B, N]
  maps.queries_to_input = at::matmul(queries.unsqueeze(1), maps.latents_to_input.mean(1)).squeeze(1);
  return maps;
}

}  // namespace perceive::models
