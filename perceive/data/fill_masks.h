// Masked tokens of texts, filled by what a model says.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <utility>
#include <vector>

#include "perceive/data/text/tokenizer.h"

namespace perceive::data {

struct FilledText {
  // Of each masked token, in their order: tokens and their probabilities, the best first.
  std::vector<std::vector<std::pair<std::string, double>>> masks;
  // The text with the i-th best token at all masked places; without special tokens.
  std::vector<std::string> texts;
};

// ids int64 [B, l]; logits [B, l, vocabulary]. Tokens that the tokenizer has not got are never chosen. Throws
// core::ConfigError for a tokenizer without [MASK].
std::vector<FilledText> fill_masks(const at::Tensor& ids, const at::Tensor& logits, const Tokenizer& tokenizer,
                                   int64_t top_k);

// The id that stands for a masked token. Throws core::ConfigError for a tokenizer without [MASK].
int64_t mask_id(const Tokenizer& tokenizer);
// "<MASK>", as perceiver-io 0.2.1 writes it, becomes "[MASK]".
std::string with_mask_tokens(std::string text);

}  // namespace perceive::data
