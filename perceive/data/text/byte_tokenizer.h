// UTF-8 bytes as tokens, with the ids of deepmind/language-perceiver: [PAD] 0, [BOS] 1, [EOS] 2, [MASK] 3, [CLS] 4,
// [SEP] 5, and byte b is b + 6.
#pragma once

#include "perceive/data/text/special_tokens.h"
#include "perceive/data/text/tokenizer.h"

namespace perceive::data {

// The special tokens are found in a text by their names; none is added. Every other byte is a token as it stands, so
// that text that is UTF-8 comes back unchanged. decode() gives U+FFFD for ids that do not make UTF-8, as a model may
// predict. The name of a byte's token is the character of that number: byte 233 is "é".
class ByteTokenizer : public Tokenizer {
 public:
  ByteTokenizer();
  int64_t size() const override;  // 262
  std::vector<int64_t> encode(std::string_view text, int64_t limit = kNoLimit) const override;
  std::string decode(std::span<const int64_t> ids, SpecialTokenText special = SpecialTokenText::skip) const override;
  std::optional<int64_t> id_of(std::string_view token) const override;
  std::string token_of(int64_t id) const override;

 private:
  SpecialTokens special_;
};

}  // namespace perceive::data
