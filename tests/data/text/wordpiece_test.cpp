// WordPiece and bytes: ids, limits, text out of ids.
#include "perceive/data/text/wordpiece.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <stdexcept>

#include "perceive/core/error.h"
#include "perceive/core/text.h"
#include "perceive/data/text/byte_tokenizer.h"
#include "perceive/data/text/unicode.h"
#include "random_text.h"

namespace perceive::data {
namespace {

using std::string_literals::operator""s;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::ThrowsMessage;
using Ids = std::vector<int64_t>;

const std::vector<std::string> kSpecial{"[PAD]", "[UNK]", "[MASK]"};

std::vector<std::string> with_special(const std::vector<std::string>& tokens) {
  std::vector<std::string> all = kSpecial;
  all.insert(all.end(), tokens.begin(), tokens.end());
  return all;
}

class WordPiece : public testing::Test {
 protected:
  const WordPieceTokenizer small_{
      with_special({"a", "b", "ab", "##a", "##b", "##ab", ".", "'", "##", "##.", "##é", "n"}), kSpecial};
};

TEST_F(WordPiece, TakesTheLongestPieces) {
  EXPECT_EQ(small_.encode("abab ba a"), (Ids{5, 8, 4, 6, 3}));
  EXPECT_EQ(small_.encode("ÁB"), (Ids{5}));
  EXPECT_EQ(small_.encode("abcab ab"), (Ids{1, 5})) << "one unknown character, and the whole word is unknown";
  EXPECT_EQ(small_.encode("## ##."), (Ids{11, 12})) << "a word of the prefix's characters is looked up as it stands";
  EXPECT_THAT(small_.encode(""), ElementsAre());
  EXPECT_THAT(small_.encode(" \r\n"), ElementsAre());
}

TEST_F(WordPiece, FindsSpecialTokensInTheRawText) {
  EXPECT_EQ(small_.encode("a[MASK]b[PAD][UNK] [mask]"), (Ids{3, 2, 4, 0, 1, 1, 1, 1}));
  EXPECT_EQ(small_.encode("[MASK"), (Ids{1, 1}));
}

TEST_F(WordPiece, TakesNoWordOfMoreThanItsLongest) {
  EXPECT_EQ(small_.encode(std::string(100, 'a')).size(), 100u);
  EXPECT_EQ(small_.encode(std::string(101, 'a') + " a"), (Ids{1, 3}));
  const WordPieceTokenizer keeps(with_special({"é", "##é"}), kSpecial,
                                 {.normalizer = {.steps = {}}, .longest_word = 3});
  EXPECT_EQ(keeps.encode("ééé éééé"), (Ids{3, 4, 4, 1})) << "code points count, not bytes";
}

TEST_F(WordPiece, StopsAtTheLimit) {
  const std::string text = "abab [MASK] abab a";
  const Ids all = small_.encode(text);
  for (int64_t limit = 0; limit < 8; ++limit) {
    Ids expected = all;
    expected.resize(std::min(all.size(), static_cast<size_t>(limit)));
    EXPECT_EQ(small_.encode(text, limit), expected);
  }
}

TEST_F(WordPiece, DefinesWhatIsNoText) {
  EXPECT_EQ(small_.encode("a\0b"s), (Ids{3, 1, 4}));
  EXPECT_EQ(small_.encode("a\xED\xA0\x80 b"), (Ids{3, 1, 4}));
  EXPECT_EQ(small_.encode("\ufeffa\r\nb"), (Ids{1, 3, 4}));
  const WordPieceTokenizer knows(with_special({"�", "##�"}), kSpecial);
  EXPECT_EQ(knows.encode("\xED\xA0\x80"), (Ids{3, 4, 4}));
}

TEST_F(WordPiece, DecodesWordsWithSpacesBetweenThem) {
  EXPECT_EQ(small_.decode(Ids{5, 8, 4, 6, 3}), "abab ba a");
  EXPECT_EQ(small_.decode(Ids{6, 2, 3, 1, 7}), "##a ab");
  EXPECT_EQ(small_.decode(Ids{6, 2, 3, 1, 7}, SpecialTokenText::keep), "##a [MASK] a [UNK]b");
  EXPECT_EQ(small_.decode(Ids{-1, 3, 99, 4}), "a b") << "ids that are none are left out";
  EXPECT_EQ(small_.decode(Ids{3, 10, 4, 9}), "a'b.") << "cleaned up over the whole text";
  EXPECT_EQ(small_.decode({}), "");
  const WordPieceTokenizer plain(small_.vocabulary(), kSpecial, {.cleanup = false});
  EXPECT_EQ(plain.decode(Ids{3, 10, 4, 9}), "a ' b .");
}

TEST_F(WordPiece, KnowsItsTokens) {
  EXPECT_EQ(small_.size(), 15);
  EXPECT_EQ(small_.id_of("##ab"), 8);
  EXPECT_EQ(small_.id_of("c"), std::nullopt);
  EXPECT_EQ(small_.token_of(2), "[MASK]");
  EXPECT_THROW(small_.token_of(15), std::out_of_range);
  EXPECT_THROW(small_.token_of(-1), std::out_of_range);
}

TEST_F(WordPiece, RefusesVocabulariesByWhatIsWrong) {
  const auto refused = [](std::vector<std::string> vocabulary, const std::string& part, WordPieceOptions options = {}) {
    EXPECT_THAT([&] { WordPieceTokenizer(vocabulary, {"[MASK]"}, options); },
                ThrowsMessage<core::ConfigError>(HasSubstr(part)));
  };
  refused({"[UNK]", "[MASK]", "a", "a"}, "'a' is token 2 and token 3");
  refused({"[UNK]", "[MASK]", ""}, "token 2 is empty");
  refused({"[UNK]", "[MASK]", "\xFF"}, "token 2 is not UTF-8");
  refused({"[MASK]"}, "the unknown token '[UNK]' is not among the 1 tokens");
  refused({"[UNK]"}, "the special token '[MASK]' is not among");
  refused({}, "is not among the 0 tokens");
  refused({"[UNK]", "[MASK]"}, "longest_word: expected 1 or more, got 0", {.longest_word = 0});
  EXPECT_THAT(
      [] {
        WordPieceTokenizer({"[UNK]"}, {"[UNK]", "[UNK]"});
      },
      ThrowsMessage<core::ConfigError>(HasSubstr("'[UNK]' stands there twice")));
}

// Where every character has a piece, nothing is lost but white space.
TEST_F(WordPiece, GivesBackTheNormalizedWords) {
  std::mt19937 random(5);
  for (int i = 0; i < 300; ++i) {
    const std::string text = i % 2 ? random_text(random, random() % 60) : random_bytes(random, random() % 60);
    const std::string normalized = Normalizer()(text);
    std::set<std::string> characters;
    for (size_t at = 0; at < normalized.size();) {
      std::string character;
      append_utf8(character, next_code_point(normalized, at));
      characters.insert(character);
    }
    std::vector<std::string> tokens;
    for (const auto& character : characters) {
      tokens.push_back(character);
      tokens.push_back("##" + character);
    }
    const WordPieceTokenizer tokenizer(with_special(tokens), kSpecial, {.cleanup = false});
    const auto without_space = [](const std::string& of) {
      std::string kept;
      for (size_t at = 0; at < of.size();) {
        const char32_t point = next_code_point(of, at);
        if (kind_of(point) != CharacterKind::space) append_utf8(kept, point);
      }
      return kept;
    };
    const Ids ids = tokenizer.encode(text);
    EXPECT_EQ(without_space(tokenizer.decode(ids)), without_space(normalized));
    EXPECT_EQ(tokenizer.encode(tokenizer.decode(ids)), ids);
  }
}

TEST(ByteTokenizer, HasTheIdsOfLanguagePerceiver) {
  const ByteTokenizer bytes;
  EXPECT_EQ(bytes.size(), 262);
  EXPECT_EQ(bytes.encode("Aé\r\n"), (Ids{71, 201, 175, 19, 16}));
  EXPECT_EQ(bytes.encode("a[MASK]b[CLS]"), (Ids{103, 3, 104, 4}));
  EXPECT_EQ(bytes.encode("\0\xFF"s), (Ids{6, 261}));
  EXPECT_EQ(bytes.encode("abc", 2), (Ids{103, 104}));
  EXPECT_THAT(bytes.encode("abc", 0), ElementsAre());
  EXPECT_EQ(bytes.id_of("[SEP]"), 5);
  EXPECT_EQ(bytes.id_of("é"), 239);
  EXPECT_EQ(bytes.token_of(239), "é");
  EXPECT_EQ(bytes.id_of("€"), std::nullopt);
  EXPECT_EQ(bytes.id_of("ab"), std::nullopt);
  EXPECT_THROW(bytes.token_of(262), std::out_of_range);
}

TEST(ByteTokenizer, GivesBackAnyText) {
  const ByteTokenizer bytes;
  std::mt19937 random(9);
  for (int i = 0; i < 500; ++i) {
    const std::string text = random_text(random, random() % 60);
    EXPECT_EQ(bytes.decode(bytes.encode(text)), text);
    const std::string noise = random_bytes(random, random() % 60);
    EXPECT_EQ(bytes.decode(bytes.encode(noise)), valid_utf8(noise));
  }
  EXPECT_EQ(bytes.decode(Ids{103, 3, -1, 262, 104, 208}), "ab�");
  EXPECT_EQ(bytes.decode(Ids{103, 3, 104}, SpecialTokenText::keep), "a[MASK]b");
}

}  // namespace
}  // namespace perceive::data
