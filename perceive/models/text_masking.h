// Which tokens a masked language model has to guess (BERT's scheme, Devlin et al. 2018, arXiv 1810.04805).
#pragma once

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

#include <optional>

namespace perceive::models {

struct TextMaskingOptions {
  int64_t vocab_size = 10003;
  int64_t unk_token_id = 1;
  int64_t mask_token_id = 2;
  int64_t num_special_tokens = 3;  // ids below are never drawn
  double mask_p = 0.15;
};

struct MaskedText {
  at::Tensor ids;     // [B, l]
  at::Tensor labels;  // [B, l]: the id before, -100 where it was not chosen
};

// Chooses tokens that are neither padding nor unknown, each with probability mask_p. Of those 80 % become the mask
// token, 10 % one drawn from the vocabulary, 10 % stay. The draws are those of perceiver-io 0.2.1 for the same seed,
// from `generator` or the default one of the device; unlike there, `ids` stays as it was.
class TextMasking {
 public:
  // Throws core::ConfigError where nothing is left of the vocabulary to draw from.
  explicit TextMasking(const TextMaskingOptions& options);
  // pad_mask: bool [B, l], true where a token is padding; undefined: nowhere.
  MaskedText operator()(const at::Tensor& ids, const at::Tensor& pad_mask = {},
                        const std::optional<at::Generator>& generator = std::nullopt) const;
  // The same with draws that follow from `ids` alone: a text is masked the same way each time.
  MaskedText same_each_time(const at::Tensor& ids, const at::Tensor& pad_mask = {}) const;

 private:
  TextMaskingOptions options_;
};

// Throws c10::ValueError where pad_mask is defined and not bool of the shape of `ids`.
void check_pad_mask(const at::Tensor& ids, const at::Tensor& pad_mask);

}  // namespace perceive::models
