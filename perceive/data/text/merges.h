// Byte-pair encoding over words: the pieces of a WordPiece vocabulary.
//
// Source: R. Sennrich, B. Haddow, A. Birch, "Neural Machine Translation of Rare Words with Subword Units", 2016.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "perceive/data/text/word_counts.h"

namespace perceive::data {

struct MergeOptions {
  int64_t vocab_size = 0;
  int64_t min_frequency = 0;
  std::string prefix;
  std::vector<std::string> first_tokens;  // with the ids 0, 1, 2, …
  bool progress = false;
};

// Tokens by id: the first tokens, all characters in the order of their code points, all characters that follow another
// one in a word, prefixed, in that order too; then merges of two tokens, the most frequent pair at each time and of
// equally frequent ones that with the smaller ids, until there are vocab_size of them or no pair is left that occurs,
// and at least min_frequency times. Characters are never left out: there may be more than vocab_size.
std::vector<std::string> learn_pieces(const WordCounts& words, const MergeOptions& options);

}  // namespace perceive::data
