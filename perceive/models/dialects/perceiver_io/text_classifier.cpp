// The text classifier of perceiver-io 0.2.1.
#include "perceive/models/dialects/perceiver_io/text_classifier.h"

#include "perceive/models/dialects/perceiver_io/names.h"
#include "perceive/models/dialects/perceiver_io/text_input.h"

namespace perceive::models::perceiver_io {
namespace {

models::PerceiverIO make(const TextClassifierConfig& config) {
  check(config);
  return models::PerceiverIO(native_options(config));
}

}  // namespace

TextClassifierImpl::TextClassifierImpl(const TextClassifierConfig& config) : TextClassifierImpl(config, make(config)) {}

TextClassifierImpl::TextClassifierImpl(const TextClassifierConfig& config, models::PerceiverIO model)
    : Renamed(model.ptr(), names_of(*model, "0.", "1.")),
      max_seq_len_(config.encoder.max_seq_len),
      model_(std::move(model)) {
  if (!config.encoder.freeze) return;
  for (auto& parameter : named_children()["0"]->parameters()) parameter.set_requires_grad(false);
}

at::Tensor TextClassifierImpl::forward(const at::Tensor& ids, const at::Tensor& pad_mask) {
  return model_->forward(ids, mask_of_text(ids, pad_mask, max_seq_len_));
}

}  // namespace perceive::models::perceiver_io
