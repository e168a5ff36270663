// The text classifier of perceiver-io 0.2.1: its configuration, weights and numbers on the native layers.
#pragma once

#include <torch/nn/pimpl.h>

#include "perceive/models/dialects/perceiver_io/config.h"
#include "perceive/models/dialects/renamed.h"

namespace perceive::models::perceiver_io {

// Parameters under the names of the original's state_dict. The same seed gives the same weights as the original does.
// With encoder.freeze the encoder's parameters ask for no gradients; its dropout stays, as there.
class TextClassifierImpl : public Renamed {
 public:
  explicit TextClassifierImpl(const TextClassifierConfig& config);
  // Token ids [B, l] to logits [B, classes] (several output queries: [B, O, classes]); pad_mask: bool [B, l], true
  // where a token is padding. See mask_of_text().
  at::Tensor forward(const at::Tensor& ids, const at::Tensor& pad_mask = {});
  models::PerceiverIO native() { return model_; }

 private:
  TextClassifierImpl(const TextClassifierConfig& config, models::PerceiverIO model);

  int64_t max_seq_len_;
  models::PerceiverIO model_;
};
TORCH_MODULE(TextClassifier);

}  // namespace perceive::models::perceiver_io
