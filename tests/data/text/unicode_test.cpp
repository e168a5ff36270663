// Code points, normal forms and words.
#include "perceive/data/text/unicode.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "perceive/core/error.h"
#include "perceive/core/text.h"
#include "perceive/data/text/normalizer.h"
#include "perceive/data/text/words.h"
#include "random_text.h"

namespace perceive::data {
namespace {

using std::string_literals::operator""s;

const NormalizerOptions kNothing{.steps = {}};

std::vector<std::string> words_of(const std::string& text, size_t longest = 100) {
  std::vector<std::string> words;
  WordSplitter splitter(longest);
  const auto give = [&](const Word& word) { words.emplace_back(word.text); };
  Normalizer(kNothing).run(text, [&](std::u32string_view piece) {
    // One character at a time: the borders of pieces make no difference.
    for (size_t i = 0; i < piece.size(); ++i) splitter.feed(piece.substr(i, 1), give);
    return true;
  });
  splitter.finish(give);
  return words;
}

TEST(Unicode, ReplacesWhatIsNotUtf8PartByPart) {
  EXPECT_EQ(valid_utf8(""), "");
  EXPECT_EQ(valid_utf8("a\0é€😀"s), "a\0é€😀"s);
  EXPECT_EQ(valid_utf8("\x80"), "�");
  EXPECT_EQ(valid_utf8("\xC0\xAF"), "��") << "overlong";
  EXPECT_EQ(valid_utf8("\xED\xA0\x80"), "���") << "a surrogate by itself";
  EXPECT_EQ(valid_utf8("\xF0\x9F\x98"), "�") << "the end cut off";
  EXPECT_EQ(valid_utf8("\xF0\x9F\x98X\xE2\x82"), "�X�");
  EXPECT_EQ(valid_utf8("\xF4\x90\x80\x80"), "����") << "beyond U+10FFFF";
  EXPECT_EQ(valid_utf8("\xFF\xFE"), "��");
}

TEST(Unicode, MakesUtf8OfAnyBytes) {
  std::mt19937 random(1);
  for (int i = 0; i < 2000; ++i) {
    const std::string bytes = random_bytes(random, random() % 30);
    const std::string text = valid_utf8(bytes);
    EXPECT_EQ(core::first_invalid_utf8(text), std::string::npos);
    EXPECT_EQ(text == bytes, core::first_invalid_utf8(bytes) == std::string::npos);
  }
}

TEST(Unicode, WritesEveryCodePointAsItReadsIt) {
  for (char32_t point = 0; point < 0x110000; ++point) {
    if (point >= 0xD800 && point < 0xE000) continue;
    std::string text;
    append_utf8(text, point);
    size_t at = 0;
    ASSERT_EQ(next_code_point(text, at), point);
    ASSERT_EQ(at, text.size());
  }
}

TEST(Normalizer, DoesAsTheDefaultOfPerceiverIo) {
  const Normalizer normalize;
  EXPECT_EQ(normalize("Héllo WÖRLD"), "hello world");
  EXPECT_EQ(normalize("İstanbul ΣΑΣ ẞ"), "istanbul σασ ß");
  EXPECT_EQ(normalize("한"), "\u1112\u1161\u11ab") << "Hangul falls into its parts";
  EXPECT_EQ(normalize("ﬁ"), "ﬁ") << "a ligature is no canonical composition";
  EXPECT_EQ(normalize("e\u0301\u0323"), "e");
  EXPECT_EQ(normalize("\ufeffA\0\r\n"s), "\ufeffa\0\r\n"s);
  EXPECT_EQ(normalize("A\xFF"), "a�");
  EXPECT_EQ(normalize(""), "");
}

TEST(Normalizer, TakesItsStepsInTheirOrder) {
  using enum NormalizerStep;
  EXPECT_EQ(Normalizer({.steps = {nfd}})("q\u0307\u0323é"), "q\u0323\u0307e\u0301");
  EXPECT_EQ(Normalizer({.steps = {lowercase}})("İÉ"), "i\u0307é");
  EXPECT_EQ(Normalizer({.steps = {strip_accents, nfd}})("e\u0301é"), "ee\u0301");
  EXPECT_EQ(Normalizer(kNothing)("É\r\n"), "É\r\n");
}

TEST(Normalizer, ReplacesInTheRawText) {
  const NormalizerOptions options{.replacements = {{"<br />", " "}, {"  ", "_"}}};
  EXPECT_EQ(Normalizer(options)("A<br /><br />B<BR />"), "a_b<br />");
  EXPECT_THROW(Normalizer({.replacements = {{"", "x"}}}), core::ConfigError);
  EXPECT_THROW(Normalizer({.replacements = {{"\xFF", "x"}}}), core::ConfigError);
  EXPECT_THROW(Normalizer({.replacements = {{"x", std::string(1001, 'x')}}}), core::ConfigError);
}

TEST(Normalizer, GivesTheSameInAnyNumberOfPieces) {
  std::mt19937 random(3);
  const Normalizer normalize({.steps = {NormalizerStep::nfd}});
  std::string text, expected;
  for (int i = 0; i < 3000; ++i) {
    const std::string word = "a" + random_text(random, 20);
    text += word;
    expected += normalize(word);
  }
  size_t pieces = 0, longest = 0;
  normalize.run(text, [&](std::u32string_view piece) {
    longest = std::max(longest, piece.size());
    return ++pieces > 0;
  });
  EXPECT_GT(pieces, 2u);
  EXPECT_LT(longest, 100'000u);
  EXPECT_EQ(normalize(text), expected);
}

TEST(Words, AreRunsOfWordCharactersOrOfOthers) {
  using testing::ElementsAre;
  EXPECT_THAT(words_of("it's 3.5€, \"so\" said_he..."),
              ElementsAre("it", "'", "s", "3", ".", "5", "€,", "\"", "so", "\"", "said_he", "..."));
  EXPECT_THAT(words_of(" \t\r\n\u00A0\u3000\u2028"), ElementsAre());
  EXPECT_THAT(words_of("e\u0301a Ⓐb ٣x 漢字"), ElementsAre("e\u0301a", "Ⓐb", "٣x", "漢字"));
  EXPECT_THAT(words_of("\ufeffa\0b"s), ElementsAre("\ufeff", "a", "\0"s, "b"));
  EXPECT_THAT(words_of("a\u200db \U0001F600\U0001F601"), ElementsAre("a\u200db", "\U0001F600\U0001F601"));
}

TEST(Words, AreCountedToTheEndAndKeptToTheLongest) {
  WordSplitter splitter(3);
  std::vector<std::pair<std::string, size_t>> words;
  const auto give = [&](const Word& word) { words.emplace_back(word.text, word.characters); };
  splitter.feed(U"ééé éééé", give);
  splitter.feed(U"é", give);
  splitter.finish(give);
  EXPECT_THAT(words, testing::ElementsAre(std::pair("ééé", 3), std::pair("ééé", 5)));
}

}  // namespace
}  // namespace perceive::data
