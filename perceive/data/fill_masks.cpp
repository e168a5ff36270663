// Masked tokens of texts, filled by what a model says.
#include "perceive/data/fill_masks.h"

#include <ATen/ATen.h>

#include "perceive/core/error.h"

namespace perceive::data {
namespace {

constexpr std::string_view kMask = "[MASK]", kOtherMask = "<MASK>";

// ids, logits: of one text.
FilledText fill(const at::Tensor& ids, const at::Tensor& logits, const Tokenizer& tokenizer, int64_t top_k) {
  const auto places = ids.eq(mask_id(tokenizer)).nonzero().squeeze(1);
  const int64_t vocabulary = std::min(tokenizer.size(), logits.size(1));
  const auto [best, tokens] = logits.index_select(0, places)
                                  .narrow(1, 0, vocabulary)
                                  .to(at::kFloat)
                                  .softmax(1)
                                  .topk(std::min(top_k, vocabulary));  // [masks, k]
  FilledText filled;
  for (int64_t m = 0; m < places.size(0); ++m) {
    auto& answers = filled.masks.emplace_back();
    for (int64_t k = 0; k < tokens.size(1); ++k) {
      answers.emplace_back(tokenizer.token_of(tokens[m][k].item<int64_t>()), best[m][k].item<double>());
    }
  }
  for (int64_t k = 0; k < tokens.size(1); ++k) {
    const auto text = ids.index_copy(0, places, tokens.select(1, k)).contiguous();
    filled.texts.push_back(tokenizer.decode({text.const_data_ptr<int64_t>(), static_cast<size_t>(text.numel())}));
  }
  return filled;
}

}  // namespace

std::vector<FilledText> fill_masks(const at::Tensor& ids, const at::Tensor& logits, const Tokenizer& tokenizer,
                                   int64_t top_k) {
  std::vector<FilledText> all;
  for (int64_t i = 0; i < ids.size(0); ++i) all.push_back(fill(ids[i], logits[i], tokenizer, top_k));
  return all;
}

int64_t mask_id(const Tokenizer& tokenizer) {
  const auto mask = tokenizer.id_of(kMask);
  if (!mask) throw core::ConfigError("tokenizer: expected one with the special token [MASK], and it has none");
  return *mask;
}

std::string with_mask_tokens(std::string text) {
  for (size_t at = 0; (at = text.find(kOtherMask, at)) != std::string::npos;) {
    text.replace(at, kOtherMask.size(), kMask);
  }
  return text;
}

}  // namespace perceive::data
