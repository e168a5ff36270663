// Texts as token ids, in batches.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "perceive/data/dataset.h"
#include "perceive/data/text/texts.h"
#include "perceive/data/text/tokenizer.h"

namespace perceive::data {

struct Tokens {
  at::Tensor ids;             // int32 [all tokens]
  std::vector<int64_t> ends;  // of each example in `ids`; it begins where the one before ends
  // Bytes of text that a token stands for, on average; 0 where no text was encoded whole.
  double bytes_per_token = 0;
  int64_t cut = 0;  // texts that were longer than allowed
};

struct EncodeOptions {
  int64_t length = 512;  // tokens of the longest example
  bool split = false;    // longer texts become several examples, and empty ones none; otherwise they are cut
  bool progress = true;
};
// By all cores; one set of texts gives one result.
Tokens encode(const Texts& texts, const Tokenizer& tokenizer, const EncodeOptions& options);

// Batches are {"ids": int64 [B, l], "mask": bool [B, l], true where there is a token and not padding, and "label":
// int64 [B], where there are labels}; l is the length of the longest example of the batch, and at least 1.
class TokenDataset : public Dataset {
 public:
  // `labels` int64 [N] or undefined; `order` int64 [n], some of the examples in an order of their own, or undefined for
  // all as they come; `pad` is the id behind the end of a text.
  TokenDataset(std::shared_ptr<const Tokens> tokens, int64_t pad, at::Tensor labels = {}, at::Tensor order = {});
  int64_t size() const override;
  Batch batch(const std::vector<int64_t>& indices, uint64_t seed) const override;
  std::string fingerprint() const override;

 private:
  std::shared_ptr<const Tokens> tokens_;
  int64_t pad_;
  at::Tensor labels_, order_;
};

// All texts as one batch, cut after `length` tokens.
Batch encode_batch(const Texts& texts, const Tokenizer& tokenizer, int64_t length);

// The id behind the end of a text. Throws core::ConfigError for a tokenizer without [PAD].
int64_t pad_id(const Tokenizer& tokenizer);

}  // namespace perceive::data
