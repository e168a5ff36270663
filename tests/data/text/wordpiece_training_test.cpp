// Vocabularies from texts.
#include "perceive/data/text/wordpiece_training.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <stdexcept>

#include "perceive/core/error.h"
#include "perceive/data/text/merges.h"
#include "random_text.h"

namespace perceive::data {
namespace {

using Texts = std::vector<std::string>;

NextText all_of(const Texts& texts) {
  return [&texts, done = size_t{0}]() mutable {
    return done < texts.size() ? std::optional(texts[done++]) : std::nullopt;
  };
}

Texts vocabulary(const Texts& texts, WordPieceTrainingOptions options) {
  options.progress = false;
  return train_wordpiece(all_of(texts), options)->vocabulary();
}

// The most frequent pair again and again, counted anew each time.
Texts by_formula(const std::map<std::string, int64_t>& counts, const Texts& start, size_t size) {
  Texts tokens = start;
  const auto id = [&](const std::string& token) {
    return std::find(tokens.begin(), tokens.end(), token) - tokens.begin();
  };
  std::vector<std::pair<Texts, int64_t>> words;
  for (const auto& [word, count] : counts) {
    words.push_back({{}, count});
    for (const char c : word)
      words.back().first.push_back((words.back().first.empty() ? "" : "##") + std::string(1, c));
  }
  while (tokens.size() < size) {
    std::map<std::pair<int64_t, int64_t>, int64_t> pairs;
    for (const auto& [pieces, count] : words) {
      for (size_t i = 1; i < pieces.size(); ++i) pairs[{id(pieces[i - 1]), id(pieces[i])}] += count;
    }
    if (pairs.empty()) break;
    const auto best =
        std::max_element(pairs.begin(), pairs.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
    const std::string a = tokens[static_cast<size_t>(best->first.first)],
                      b = tokens[static_cast<size_t>(best->first.second)];
    const std::string merged = a + b.substr(2);
    if (std::find(tokens.begin(), tokens.end(), merged) == tokens.end()) tokens.push_back(merged);
    for (auto& [pieces, count] : words) {
      for (size_t i = 1; i < pieces.size(); ++i) {
        if (pieces[i - 1] != a || pieces[i] != b) continue;
        pieces[i - 1] = merged;
        pieces.erase(pieces.begin() + static_cast<std::ptrdiff_t>(i));
      }
    }
  }
  return tokens;
}

TEST(WordPieceTraining, NumbersTokensInADefinedOrder) {
  const Texts texts{"Hello héllo. <br />wörld don't"};
  EXPECT_EQ(vocabulary(texts, {.vocab_size = 30, .tokenizer = {.normalizer = {.replacements = {{"<br />", " "}}}}}),
            (Texts{"[PAD]", "[UNK]", "[MASK]", "'",     ".",   "d",   "e",    "h",     "l",   "n",
                   "o",     "r",     "t",      "w",     "##d", "##e", "##l",  "##n",   "##o", "##r",
                   "he",    "##ll",  "hell",   "hello", "do",  "wo",  "##ld", "##rld", "don", "world"}));
}

TEST(WordPieceTraining, MergesAsTheFormulaDoes) {
  std::mt19937 random(13);
  for (int round = 0; round < 20; ++round) {
    WordCounts words;
    std::map<std::string, int64_t> counts;
    for (int i = 0; i < 40; ++i) {
      std::string word;
      for (size_t length = 1 + random() % 9; length > 0; --length) word += static_cast<char>('a' + random() % 3);
      counts[word] += 1 + static_cast<int64_t>(random() % 5);
    }
    words.assign(counts.begin(), counts.end());
    const Texts start{"[UNK]", "a", "b", "c", "##a", "##b", "##c"};
    EXPECT_EQ(learn_pieces(words, {.vocab_size = 25, .prefix = "##", .first_tokens = {"[UNK]"}}),
              by_formula(counts, start, 25));
  }
}

TEST(WordPieceTraining, GivesTheSameForAnyNumberOfThreadsAndAnyOrder) {
  std::mt19937 random(17);
  Texts texts;
  for (int i = 0; i < 400; ++i) texts.push_back(random_text(random, 2000));
  const WordPieceTrainingOptions one{.vocab_size = 3000, .threads = 1}, four{.vocab_size = 3000, .threads = 4};
  const Texts expected = vocabulary(texts, one);
  EXPECT_EQ(expected.size(), 3000u);
  EXPECT_EQ(vocabulary(texts, four), expected);
  std::shuffle(texts.begin(), texts.end(), random);
  EXPECT_EQ(vocabulary(texts, four), expected);
}

TEST(WordPieceTraining, EndsWhereThereIsNothingToMerge) {
  const WordPieceTrainingOptions options{.special_tokens = {"[UNK]"}};
  EXPECT_EQ(vocabulary({"ab ab cd"}, options), (Texts{"[UNK]", "a", "b", "c", "d", "##b", "##d", "ab", "cd"}));
  WordPieceTrainingOptions often = options;
  often.min_frequency = 2;
  EXPECT_EQ(vocabulary({"ab ab cd"}, often), (Texts{"[UNK]", "a", "b", "c", "d", "##b", "##d", "ab"}));
  WordPieceTrainingOptions few = options;
  few.vocab_size = 2;
  EXPECT_EQ(vocabulary({"ab ab cd"}, few), (Texts{"[UNK]", "a", "b", "c", "d", "##b", "##d"}));
}

TEST(WordPieceTraining, SaysWhatIsWrong) {
  const auto refused = [](const Texts& texts, const WordPieceTrainingOptions& options, const std::string& part) {
    EXPECT_THAT([&] { vocabulary(texts, options); }, testing::ThrowsMessage<core::Error>(testing::HasSubstr(part)));
  };
  refused({}, {}, "there is no word in the texts");
  refused({"", " \r\n"}, {}, "there is no word in the texts");
  refused({"a"}, {.vocab_size = 0}, "vocab_size: expected 1 to");
  refused({"a"}, {.threads = -1}, "threads: expected 0 or more, got -1");
  refused({"a"}, {.special_tokens = {"[PAD]"}}, "the unknown token '[UNK]'");
  refused({"a"}, {.special_tokens = {"[UNK]", "[UNK]"}}, "'[UNK]' is token 0 and token 1");
}

TEST(WordPieceTraining, PassesOnWhatGoesWrongWithTheTexts) {
  for (const int64_t threads : {1, 4}) {
    int texts = 0;
    const NextText next = [&]() -> std::optional<std::string> {
      if (++texts == 100) throw std::runtime_error("the disk is gone");
      return std::string(100'000, 'a');
    };
    EXPECT_THAT([&] { train_wordpiece(next, {.threads = threads, .progress = false}); },
                testing::ThrowsMessage<std::runtime_error>("the disk is gone"));
  }
}

TEST(WordPieceTraining, LeavesOutWhatIsNoWord) {
  const std::string longest(kLongestCountedWord, 'a');
  const Normalizer normalizer;
  const Texts texts{longest + " b b", "b " + longest + "a"};
  EXPECT_EQ(count_words(all_of(texts), normalizer, 1, false), (WordCounts{{longest, 1}, {"b", 3}}));
}

}  // namespace
}  // namespace perceive::data
