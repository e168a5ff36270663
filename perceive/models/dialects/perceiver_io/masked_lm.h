// The masked language model of perceiver-io 0.2.1: its configuration, weights and numbers on the native layers.
#pragma once

#include <torch/nn/pimpl.h>

#include "perceive/models/dialects/perceiver_io/config.h"
#include "perceive/models/dialects/renamed.h"
#include "perceive/models/text_masking.h"

namespace perceive::models::perceiver_io {

struct MaskedPrediction {
  at::Tensor logits;  // [B, l, vocabulary]
  at::Tensor labels;  // [B, l]; see MaskedText
};

// Parameters under the names of the original's state_dict; embeddings that also give the logits are one tensor under
// both names. The same seed gives the same weights as the original does.
class MaskedLMImpl : public Renamed {
 public:
  explicit MaskedLMImpl(const MaskedLMConfig& config);
  // Token ids [B, l] to logits [B, l, vocabulary] (of no more places than decoder.max_seq_len); pad_mask: bool [B, l],
  // true where a token is padding. See mask_of_text().
  at::Tensor forward(const at::Tensor& ids, const at::Tensor& pad_mask = {});
  // The logits [K, vocabulary] of the places where `places` [B, l], bool, is true, one text after the other: training
  // asks for the masked ones only.
  at::Tensor forward_at(const at::Tensor& ids, const at::Tensor& pad_mask, const at::Tensor& places);
  // forward() of the ids that masking() gives.
  MaskedPrediction forward_masked(const at::Tensor& ids, const at::Tensor& pad_mask = {});
  const TextMasking& masking() const { return masking_; }
  models::PerceiverIO native() { return model_; }

 private:
  MaskedLMImpl(const MaskedLMConfig& config, models::PerceiverIO model);

  int64_t max_seq_len_;
  TextMasking masking_;
  models::PerceiverIO model_;
};
TORCH_MODULE(MaskedLM);

}  // namespace perceive::models::perceiver_io
