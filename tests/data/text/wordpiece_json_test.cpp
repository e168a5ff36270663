// tokenizer.json: what is read, written, and refused.
#include "perceive/data/text/wordpiece_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>

#include "perceive/core/error.h"

namespace perceive::data {
namespace {

using nlohmann::json;

json valid() {
  return json::parse(R"({"version": "1.0", "truncation": null, "padding": null, "added_tokens": [
      {"id": 1, "content": "[UNK]", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
       "special": true}],
    "normalizer": {"type": "Sequence", "normalizers": [{"type": "Replace", "pattern": {"String": "<br />"}, "content": " "},
       {"type": "NFD"}, {"type": "Lowercase"}, {"type": "StripAccents"}]},
    "pre_tokenizer": {"type": "Whitespace"}, "post_processor": null,
    "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
    "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
      "max_input_chars_per_word": 100, "vocab": {"a": 0, "[UNK]": 1, "##é\u0000": 2}}})");
}

void expect_refused(const std::string& text, const std::string& part) {
  EXPECT_THAT([&] { parse_wordpiece(text, "t.json"); }, testing::ThrowsMessage<core::FileError>(testing::AllOf(
                                                            testing::StartsWith("t.json: "), testing::HasSubstr(part))))
      << text.substr(0, 2000);
}

// With the value at `pointer` replaced.
void expect_refused_with(const std::string& pointer, const json& value, const std::string& part) {
  json file = valid();
  file[json::json_pointer(pointer)] = value;
  expect_refused(file.dump(), part);
}

TEST(WordPieceJson, ReadsWhatItWrites) {
  const auto first = parse_wordpiece(valid().dump(), "t.json");
  EXPECT_EQ(first->vocabulary(), (std::vector<std::string>{"a", "[UNK]", std::string("##é\0", 5)}));
  EXPECT_EQ(first->options().normalizer, (NormalizerOptions{.replacements = {{"<br />", " "}}}));
  const std::string written = wordpiece_json(*first);
  EXPECT_EQ(json::parse(written), valid());
  EXPECT_EQ(wordpiece_json(*parse_wordpiece(written, "t.json")), written);
}

TEST(WordPieceJson, TakesNormalizersAloneAndNone) {
  json file = valid();
  file["normalizer"] = {{"type", "NFD"}};
  EXPECT_EQ(parse_wordpiece(file.dump(), "t.json")->options().normalizer,
            NormalizerOptions{.steps = {NormalizerStep::nfd}});
  file["normalizer"] = nullptr;
  const auto none = parse_wordpiece(file.dump(), "t.json");
  EXPECT_EQ(none->options().normalizer, NormalizerOptions{.steps = {}});
  EXPECT_EQ(json::parse(wordpiece_json(*none)), file);
}

TEST(WordPieceJson, NamesComponentsThatItHasNot) {
  expect_refused_with("/model/type", "BPE", "tokenizer.model: 'BPE' is not supported; supported: WordPiece");
  expect_refused_with("/normalizer", {{"type", "NFKC"}},
                      "tokenizer.normalizer: 'NFKC' is not supported; supported: Sequence, ");
  expect_refused_with("/normalizer/normalizers/1/type", "Precompiled",
                      "normalizers[1]: 'Precompiled' is not supported");
  expect_refused_with("/normalizer/normalizers/1/type", "Sequence", "'Sequence' in a 'Sequence' is not supported");
  expect_refused_with("/normalizer/normalizers/0/pattern", {{"Regex", "x"}}, "unknown key 'Regex'; supported: String");
  expect_refused_with("/normalizer/normalizers/3", valid()["normalizer"]["normalizers"][0], "'Replace' behind NFD");
  expect_refused_with("/normalizer/normalizers/0/pattern/String", "", "expected a text to replace");
  expect_refused_with("/pre_tokenizer/type", "ByteLevel", "tokenizer.pre_tokenizer: 'ByteLevel' is not supported");
  expect_refused_with("/pre_tokenizer", nullptr, "tokenizer.pre_tokenizer: expected an object, got null");
  expect_refused_with("/decoder/type", "BPEDecoder", "tokenizer.decoder: 'BPEDecoder' is not supported");
  expect_refused_with("/decoder/prefix", "_", "'prefix' differs from the model's");
  expect_refused_with("/post_processor", {{"type", "BertProcessing"}}, "'post_processor' is not supported");
  expect_refused_with("/padding", {{"direction", "Right"}}, "'padding' is not supported");
  expect_refused_with("/truncation", {{"max_length", 8}}, "'truncation' is not supported");
  expect_refused_with("/version", "2.0", "version '2.0' is not supported; supported: 1.0");
  expect_refused_with("/colour", "red", "unknown key 'colour'");
}

TEST(WordPieceJson, NamesWhatIsWrongWithAVocabulary) {
  expect_refused_with("/model/vocab/b", 2, "the id 2 belongs to '##é\\x00' and to 'b'");
  expect_refused_with("/model/vocab/b", 4, "'b' has the id 4; 4 tokens have the ids 0 to 3, without a gap");
  expect_refused_with("/model/vocab/b", -1, "'b' has the id -1");
  expect_refused_with("/model/vocab/b", 3.0, "'b' has the id 3.0");
  expect_refused_with("/model/vocab/b", UINT64_MAX, "'b' has the id 18446744073709551615");
  expect_refused_with("/model/vocab/", 3, "a token is empty");
  expect_refused_with("/model/vocab", json::object(), "'[UNK]' is not in model.vocab");
  expect_refused_with("/model/vocab", json::array(), "tokenizer.model.vocab: expected an object, got array");
  expect_refused_with("/model/unk_token", "[unk]", "the unknown token '[unk]' is not among the 3 tokens");
  expect_refused_with("/model/unk_token", nullptr, "unk_token: expected a text, got null");
  expect_refused_with("/model/max_input_chars_per_word", 0, "longest_word: expected 1 or more, got 0");
  expect_refused_with("/model/max_input_chars_per_word", 1e30, "expected an integer");
  expect_refused_with("/added_tokens/0/id", 2, "'[UNK]' has the id 2, and 1 in model.vocab");
  expect_refused_with("/added_tokens/0/content", "[CLS]", "'[CLS]' is not in model.vocab");
  expect_refused_with("/added_tokens/0/normalized", true, "'normalized' is not supported, expected false");
  expect_refused_with("/added_tokens/0/special", false, "only special tokens are supported");
  expect_refused_with("/added_tokens/1", valid()["added_tokens"][0], "'[UNK]' stands there twice");
  expect_refused(R"({"model": {"vocab": {"a": 0, "a": 1}}})", "the key 'a' stands twice in one object");
}

TEST(WordPieceJson, RefusesAFileCutOffAtAnyByte) {
  const std::string whole = valid().dump();
  for (size_t length = 0; length < whole.size(); ++length) expect_refused(whole.substr(0, length), "");
  expect_refused("[]", "expected an object, got array");
  expect_refused("{}", "there is no 'version'");
}

TEST(WordPieceJson, AnswersEveryDamageWithAFileError) {
  std::mt19937 random(11);
  const std::string whole = valid().dump();
  for (int i = 0; i < 5000; ++i) {
    std::string damaged = whole;
    for (int change = 0; change < 3; ++change)
      damaged[random() % damaged.size()] = "\0\"{}[],:019aeu\\\xff"[random() % 17];
    try {
      parse_wordpiece(damaged, "t.json")->encode("a [UNK] é");
    } catch (const core::FileError&) {
    }
  }
}

TEST(WordPieceJson, SaysWhyAFileCannotBeRead) {
  const auto path =
      std::filesystem::temp_directory_path() / ("perceive tokenizer " + std::to_string(std::random_device()()));
  const auto read = [&] { read_wordpiece(path.string()); };
  EXPECT_THAT(read, testing::ThrowsMessage<core::DataError>(testing::HasSubstr("No such file")));
  std::ofstream(path) << valid();
  EXPECT_NO_THROW(read());
  std::ofstream(path) << "{";
  EXPECT_THAT(read, testing::ThrowsMessage<core::FileError>(testing::StartsWith(path.string())));
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace perceive::data
