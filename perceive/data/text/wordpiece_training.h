// A WordPiece vocabulary from texts.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "perceive/data/text/word_counts.h"
#include "perceive/data/text/wordpiece.h"

namespace perceive::data {

struct WordPieceTrainingOptions {
  int64_t vocab_size = 10003;
  int64_t min_frequency = 0;
  std::vector<std::string> special_tokens = {"[PAD]", "[UNK]", "[MASK]"};  // with the ids 0, 1, 2, …
  int64_t threads = 0;                                                     // that count words; 0: one a core
  bool progress = true;
  WordPieceOptions tokenizer = {};
};

// As the WordPieceTrainer of `tokenizers` does it, merges.h has the order of tokens. There, the order of the prefixed
// characters changes from run to run, and with it which of two equally frequent pairs is merged; here one set of texts
// gives one vocabulary, in any order of texts and for any number of threads. Special tokens that stand in the texts are
// words like others. Throws core::ConfigError for options, core::DataError where there is no word in the texts.
std::unique_ptr<WordPieceTokenizer> train_wordpiece(const NextText& next, const WordPieceTrainingOptions& options = {});

}  // namespace perceive::data
