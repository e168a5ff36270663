// Encoder and decoder.
#include "perceive/models/linformer_enc_dec.h"

#include <ATen/ATen.h>

#include "perceive/core/error.h"

namespace perceive::models {
namespace {

nn::ReadingOptions reading_options(const LinformerEncDecOptions& options) {
  nn::ReadingOptions reading{options.decoder.layer.attention, options.encoder.channels};
  reading.attention.causal = false;
  reading.attention.block = std::nullopt;
  reading.attention.projection = options.encoder.layer.attention.projection;
  return reading;
}

void require_one_batch(const at::Tensor& source, const at::Tensor& target) {
  TORCH_CHECK_VALUE(source.dim() == 2 && target.dim() == 2 && source.size(0) == target.size(0),
                    "LinformerEncDec: expected ids source [B, m] and target [B, n]; got ", source.sizes(), " and ",
                    target.sizes());
}

}  // namespace

void check(const LinformerEncDecOptions& options) {
  check(options.encoder, "encoder.");
  check(options.decoder, "decoder.");
  if (!options.decoder.layer.attention.causal) {
    throw core::ConfigError("decoder.causal must be true: a token of the target follows from those before");
  }
}

double parameter_count(const LinformerEncDecOptions& options) {
  const LinformerOptions& decoder = options.decoder;
  return parameter_count(options.encoder) + parameter_count(options.decoder) +
         parameter_count(decoder, reading_options(options)) - parameter_count(decoder);
}

LinformerEncDecImpl::LinformerEncDecImpl(const LinformerEncDecOptions& options) {
  check(options);
  encoder_ = register_module("encoder", LinformerEncoder(options.encoder));
  decoder_ = register_module("decoder", LinformerLM(options.decoder, reading_options(options)));
}

at::Tensor LinformerEncDecImpl::forward(const at::Tensor& source, const at::Tensor& target,
                                        const at::Tensor& source_mask, const at::Tensor& target_mask) {
  require_one_batch(source, target);
  return decoder_->forward(target, target_mask, encoder_->encode(source, source_mask), source_mask);
}

at::Tensor LinformerEncDecImpl::generate(const at::Tensor& source, const at::Tensor& target,
                                         const GenerateOptions& options, const at::Tensor& source_mask) {
  require_one_batch(source, target);
  const at::NoGradGuard no_grad;
  return decoder_->generate(target, options, encoder_->encode(source, source_mask), source_mask);
}

}  // namespace perceive::models
