// Perceiver IO from the layers of nn/.
#include "perceive/models/perceiver_io.h"

#include <ATen/ops/matmul.h>
#include <c10/core/GradMode.h>
#include <c10/util/StringUtil.h>

#include <algorithm>
#include <tuple>

#include "perceive/core/error.h"
#include "perceive/core/memory.h"

namespace perceive::models {
namespace {

std::shared_ptr<nn::OutputAdapter> make_adapter(const nn::ClassificationOutputOptions& options,
                                                const nn::InputAdapter&) {
  return nn::ClassificationOutput(options).ptr();
}
std::shared_ptr<nn::OutputAdapter> make_adapter(const nn::TokenOutputOptions& options, const nn::InputAdapter& input) {
  const auto* tokens = dynamic_cast<const nn::TokenInputImpl*>(&input);
  return nn::TokenOutput(options, tokens ? tokens->embeddings() : at::Tensor()).ptr();
}
int64_t input_width(const PerceiverIOOptions& options) {
  return std::visit([](const auto& input) { return nn::width(input); }, options.input);
}
int64_t query_channels(const PerceiverIOOptions& options) {
  if (const auto* tokens = std::get_if<nn::TokenOutputOptions>(&options.output)) {
    return tokens->query_channels.value_or(input_width(options));
  }
  return std::get<nn::ClassificationOutputOptions>(options.output).query_channels;
}

double input_parameters(const PerceiverIOOptions& options) {
  const auto* tokens = std::get_if<nn::TokenInputOptions>(&options.input);
  return tokens ? nn::parameter_count(*tokens) : 0;
}
double output_parameters(const PerceiverIOOptions& options) {
  if (const auto* tokens = std::get_if<nn::TokenOutputOptions>(&options.output)) {
    return nn::parameter_count(*tokens, query_channels(options));
  }
  return nn::parameter_count(std::get<nn::ClassificationOutputOptions>(options.output));
}

bool tokens_to_tokens(const PerceiverIOOptions& options) {
  return std::holds_alternative<nn::TokenInputOptions>(options.input) &&
         std::holds_alternative<nn::TokenOutputOptions>(options.output);
}

void check_embeddings(const PerceiverIOOptions& options) {
  const auto* output = std::get_if<nn::TokenOutputOptions>(&options.output);
  if (!output || output->query_channels) return;
  const auto* input = std::get_if<nn::TokenInputOptions>(&options.input);
  if (!input) {
    throw core::ConfigError("output.query_channels must be given, since the input has no token embeddings to share");
  }
  if (input->vocabulary != output->vocabulary) {
    throw core::ConfigError(
        c10::str("output.vocabulary and input.vocabulary must be equal where output.query_channels "
                 "is not given, since the embeddings are then shared; got ",
                 output->vocabulary, " and ", input->vocabulary));
  }
}

}  // namespace

double parameter_count(const PerceiverIOOptions& options) {
  return input_parameters(options) + nn::parameter_count(options.encoder, input_width(options)) +
         output_parameters(options) +
         nn::parameter_count(options.decoder.cross, {query_channels(options), options.encoder.num_latent_channels});
}

void check(const PerceiverIOOptions& options) {
  std::visit([](const auto& input) { check(input, "input."); }, options.input);
  std::visit([](const auto& output) { check(output, "output."); }, options.output);
  check_embeddings(options);
  check(options.encoder, input_width(options), "encoder.");
  check(options.decoder, query_channels(options), options.encoder.num_latent_channels, "decoder.");
  const double parameters = parameter_count(options);
  core::require_memory(
      4 * (parameters + nn::kept_numbers(options.encoder)),
      c10::str("a model of ", parameters, " parameters (", options.encoder.num_latents, " latents of ",
               options.encoder.num_latent_channels, " channels, ", options.encoder.num_self_blocks, " blocks of ",
               options.encoder.num_self_layers_per_block, " layers) with one sample to train on"));
}

PerceiverIOImpl::PerceiverIOImpl(const PerceiverIOOptions& options) : tokens_to_tokens_(tokens_to_tokens(options)) {
  check(options);
  input_ = register_module("input", std::visit([](const auto& input) { return nn::make_input(input); }, options.input));
  encoder_ = register_module("encoder", nn::Encoder(options.encoder, input_->width()));
  auto output = std::visit([&](const auto& choice) { return make_adapter(choice, *input_); }, options.output);
  decoder_ =
      register_module("decoder", nn::Decoder(options.decoder, std::move(output), options.encoder.num_latent_channels));
}

at::Tensor PerceiverIOImpl::forward(const at::Tensor& input, const at::Tensor& mask) {
  const auto latents = encode(input, mask);
  if (!tokens_to_tokens_) return decoder_->forward(latents);
  return decoder_->forward_rows(latents, 0, std::min(input.size(1), decoder_->output().rows()));
}

at::Tensor PerceiverIOImpl::forward_at(const at::Tensor& ids, const at::Tensor& mask, const at::Tensor& places) {
  TORCH_CHECK_VALUE(tokens_to_tokens_, "PerceiverIO: places can be asked of a model from tokens to tokens only");
  return decoder_->forward_at(encode(ids, mask), places);
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
