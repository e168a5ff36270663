// WordPiece: words as the longest pieces of a vocabulary, from their front to their end.
//
// The pipeline of perceiver-io 0.2.1, of Hugging Face's `tokenizers`: special tokens by their names in the raw text, a
// normalizer, words, pieces. Nothing is added at the ends of a text.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "perceive/data/text/normalizer.h"
#include "perceive/data/text/special_tokens.h"
#include "perceive/data/text/tokenizer.h"

namespace perceive::data {

struct WordPieceOptions {
  NormalizerOptions normalizer = {};
  std::string unknown = "[UNK]";  // stands for a word that the vocabulary has no pieces for; must be in it
  std::string prefix = "##";      // of a piece that does not begin a word
  int64_t longest_word = 100;     // code points; a longer word is unknown
  bool cleanup = true;            // decode() takes out the spaces before punctuation and English contractions
};

class WordPieceTokenizer : public Tokenizer {
 public:
  // A token's id is its place in the vocabulary; `special` are names in it, and may be none. Throws core::ConfigError
  // for a token that is empty, not UTF-8, or there twice, and for an unknown or special token that is not there.
  WordPieceTokenizer(std::vector<std::string> vocabulary, const std::vector<std::string>& special,
                     WordPieceOptions options = {});
  WordPieceTokenizer(const WordPieceTokenizer&) = delete;
  WordPieceTokenizer& operator=(const WordPieceTokenizer&) = delete;

  int64_t size() const override;
  std::vector<int64_t> encode(std::string_view text, int64_t limit = kNoLimit) const override;
  // Tokens with a space between words. `cleanup` works on the whole text, as `tokenizers` did up to 0.12; later
  // versions look at each token by itself, and leave "it ' s" as it is.
  std::string decode(std::span<const int64_t> ids, SpecialTokenText special = SpecialTokenText::skip) const override;
  std::optional<int64_t> id_of(std::string_view token) const override;
  std::string token_of(int64_t id) const override;

  const WordPieceOptions& options() const { return options_; }
  const std::vector<std::string>& vocabulary() const { return vocabulary_; }
  const SpecialTokens& special_tokens() const { return special_; }

 private:
  // Tokens by text, and no text in it is longer than `longest` bytes.
  struct Pieces {
    std::unordered_map<std::string_view, int64_t> ids;
    size_t longest = 0;
    void add(std::string_view text, int64_t id);
    // The longest that `text` begins with: its id and its length, which is 0 where there is none.
    std::pair<int64_t, size_t> longest_at(std::string_view text) const;
  };
  void append_pieces(std::string_view word, std::vector<int64_t>& ids) const;

  WordPieceOptions options_;
  Normalizer normalizer_;
  std::vector<std::string> vocabulary_;
  Pieces beginnings_, continuations_;  // of words; the latter by their text behind the prefix
  SpecialTokens special_;
  int64_t unknown_;
};

}  // namespace perceive::data
