// The masked language model of perceiver-io 0.2.1.
#include "perceive/models/dialects/perceiver_io/masked_lm.h"

#include "perceive/models/dialects/perceiver_io/names.h"
#include "perceive/models/dialects/perceiver_io/text_input.h"

namespace perceive::models::perceiver_io {
namespace {

models::PerceiverIO make(const MaskedLMConfig& config) {
  check(config);
  return models::PerceiverIO(native_options(config));
}

}  // namespace

MaskedLMImpl::MaskedLMImpl(const MaskedLMConfig& config) : MaskedLMImpl(config, make(config)) {}

MaskedLMImpl::MaskedLMImpl(const MaskedLMConfig& config, models::PerceiverIO model)
    : Renamed(model.ptr(), names_of(*model, "encoder.", "decoder.")),
      max_seq_len_(config.encoder.max_seq_len),
      masking_({.vocab_size = config.decoder.vocab_size}),
      model_(std::move(model)) {}

at::Tensor MaskedLMImpl::forward(const at::Tensor& ids, const at::Tensor& pad_mask) {
  return model_->forward(ids, mask_of_text(ids, pad_mask, max_seq_len_));
}

at::Tensor MaskedLMImpl::forward_at(const at::Tensor& ids, const at::Tensor& pad_mask, const at::Tensor& places) {
  return model_->forward_at(ids, mask_of_text(ids, pad_mask, max_seq_len_), places);
}

MaskedPrediction MaskedLMImpl::forward_masked(const at::Tensor& ids, const at::Tensor& pad_mask) {
  const auto masked = masking_(ids, pad_mask);
  return {forward(masked.ids, pad_mask), masked.labels};
}

}  // namespace perceive::models::perceiver_io
