// A WordPiece vocabulary from texts.
#include "perceive/data/text/wordpiece_training.h"

#include <fmt/core.h>

#include <algorithm>
#include <thread>

#include "perceive/core/error.h"
#include "perceive/data/text/merges.h"

namespace perceive::data {

constexpr int64_t kMostTokens = 100'000'000;

std::unique_ptr<WordPieceTokenizer> train_wordpiece(const NextText& next, const WordPieceTrainingOptions& options) {
  if (options.vocab_size < 1 || options.vocab_size > kMostTokens) {
    throw core::ConfigError(fmt::format("vocab_size: expected 1 to {}, got {}", kMostTokens, options.vocab_size));
  }
  if (options.threads < 0) throw core::ConfigError(fmt::format("threads: expected 0 or more, got {}", options.threads));
  // Tells what is wrong with the options before hours are spent on the texts.
  WordPieceTokenizer(options.special_tokens, options.special_tokens, options.tokenizer);

  const int64_t cores = std::max<int64_t>(1, std::thread::hardware_concurrency());
  const WordCounts words = count_words(next, Normalizer(options.tokenizer.normalizer),
                                       options.threads > 0 ? options.threads : cores, options.progress);
  if (words.empty()) throw core::DataError("training of a tokenizer: there is no word in the texts");
  const MergeOptions merges{.vocab_size = options.vocab_size,
                            .min_frequency = options.min_frequency,
                            .prefix = options.tokenizer.prefix,
                            .first_tokens = options.special_tokens,
                            .progress = options.progress};
  return std::make_unique<WordPieceTokenizer>(learn_pieces(words, merges), options.special_tokens, options.tokenizer);
}

}  // namespace perceive::data
