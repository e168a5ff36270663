// Texts in files, lines and archives, as batches of tokens.
#include "perceive/data/text_module.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "batches.h"
#include "files.h"
#include "perceive/core/error.h"
#include "perceive/data/archive.h"
#include "perceive/data/imdb.h"
#include "perceive/data/text/byte_tokenizer.h"
#include "perceive/data/text_file.h"
#include "perceive/data/text_folder.h"
#include "perceive/data/token_dataset.h"

namespace perceive::data {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Bytes bytes(const std::string& text) {
  return {text.begin(), text.end()};
}

TextsInMemory texts(std::vector<std::string> all) {
  std::vector<NamedText> named;
  for (auto& text : all) named.push_back({"", std::move(text)});
  return TextsInMemory(std::move(named));
}

std::vector<int64_t> ids_of(const std::string& text) {
  return ByteTokenizer().encode(text);
}

std::vector<std::vector<int64_t>> rows(const at::Tensor& ids) {
  std::vector<std::vector<int64_t>> result;
  for (int64_t i = 0; i < ids.size(0); ++i) {
    const auto row = ids[i].contiguous();
    result.emplace_back(row.const_data_ptr<int64_t>(), row.const_data_ptr<int64_t>() + row.numel());
  }
  return result;
}

template <class Options>
Options quick(Options options) {
  options.num_workers = 0;
  options.max_seq_len = 8;
  return options;
}

TEST(TextLines, AreThoseThatAreNotBlank) {
  const TextLines lines("notes", "one\r\n\n \t\ntwo three\nlast");
  ASSERT_EQ(lines.size(), 3);
  EXPECT_EQ(lines.text(0), "one");
  EXPECT_EQ(lines.text(1), "two three");
  EXPECT_EQ(lines.text(2), "last");
  EXPECT_EQ(lines.name(1), "notes:4");
  EXPECT_EQ(TextLines("", "").size(), 0);
}

TEST(Encode, CutsOrSplitsWhatIsTooLong) {
  const auto given = texts({"abcdefg", "", "xy"});
  const auto cut = encode(given, ByteTokenizer(), {.length = 3, .progress = false});
  EXPECT_THAT(cut.ends, ElementsAre(3, 3, 5));
  EXPECT_EQ(cut.cut, 1);
  EXPECT_EQ(cut.bytes_per_token, 1.0);
  const auto split = encode(given, ByteTokenizer(), {.length = 3, .split = true, .progress = false});
  EXPECT_THAT(split.ends, ElementsAre(3, 6, 7, 9));
  EXPECT_EQ(split.bytes_per_token, 1.0);
  EXPECT_EQ(split.cut, 0);
}

TEST(Encode, KeepsTheOrderOfManyTexts) {
  std::vector<std::string> many;
  for (int i = 0; i < 1000; ++i) many.push_back(std::to_string(i));
  const auto tokens = std::make_shared<const Tokens>(encode(texts(many), ByteTokenizer(), {.progress = false}));
  const TokenDataset dataset(tokens, 0);
  for (const int64_t i : {0, 63, 64, 999}) {
    EXPECT_THAT(rows(dataset.batch({i}, 0).at("ids")), ElementsAre(ids_of(std::to_string(i))));
  }
}

TEST(TokenDataset, PadsToTheLongestOfABatch) {
  const auto tokens =
      std::make_shared<const Tokens>(encode(texts({"abc", "", "d"}), ByteTokenizer(), {.progress = false}));
  const TokenDataset dataset(tokens, 0, at::tensor({1, 0, 2}, at::kLong));
  const auto batch = dataset.batch({2, 0}, 0);
  auto short_row = ids_of("d");
  short_row.resize(3, 0);
  EXPECT_THAT(rows(batch.at("ids")), ElementsAre(short_row, ids_of("abc")));
  EXPECT_TRUE(batch.at("mask").equal(at::tensor({1, 0, 0, 1, 1, 1}).view({2, 3}).to(at::kBool)));
  EXPECT_TRUE(batch.at("label").equal(at::tensor({2, 1}, at::kLong)));
  EXPECT_EQ(dataset.batch({1}, 0).at("ids").size(1), 1);  // of an empty text
}

TEST(TokenDataset, TellsOtherTextsByTheirFingerprint) {
  const auto of = [](const std::string& text) {
    return TokenDataset(std::make_shared<const Tokens>(encode(texts({text}), ByteTokenizer(), {.progress = false})), 0)
        .fingerprint();
  };
  EXPECT_EQ(of("abc"), of("abc"));
  EXPECT_NE(of("abc"), of("abd"));
}

// ---- IMDb

void write_reviews(const TemporaryFolder& folder, const std::string& place) {
  for (const std::string split : {"train", "test"}) {
    for (const std::string name : {"neg", "pos"}) {
      for (const int i : {1, 0}) {
        folder.write(place + "/" + split + "/" + name + "/" + std::to_string(i) + "_9.txt",
                     bytes(split[1] + name + std::to_string(i)));
      }
    }
  }
  folder.write(place + "/train/unsup/0_0.txt", bytes("without a label"));
}

TEST(Imdb, ReadsItsFolderAndItsArchiveAlike) {
  const TemporaryFolder folder, packed;
  write_reviews(folder, "IMDB/aclImdb");
  const auto tar = "tar -C '" + (folder / "IMDB") + "' -czf '" + (packed / "aclImdb_v1.tar.gz") + "' aclImdb";
  ASSERT_EQ(std::system(tar.c_str()), 0);
  for (const auto* place : {&folder, &packed}) {
    auto options = quick(ImdbDataModuleOptions());
    options.data_dir = place->path();
    options.tokenizer = "bytes";
    const ImdbDataModule module(options);
    EXPECT_EQ(module.vocab_size(), 262);
    const auto test = all_of(*module.test());
    EXPECT_THAT(rows(test.at("ids")), ElementsAre(ids_of("eneg0"), ids_of("eneg1"), ids_of("epos0"), ids_of("epos1")));
    EXPECT_THAT(rows(test.at("label").unsqueeze(0)), ElementsAre(ElementsAre(0, 0, 1, 1)));
    EXPECT_TRUE(all_of(*module.validation()).at("ids").equal(test.at("ids")));
    EXPECT_EQ(module.train()->dataset().size(), 4);
    EXPECT_FALSE(all_of(*module.train()).at("ids").equal(test.at("ids")));
  }
}

TEST(Imdb, TrainsItsTokenizerOnce) {
  const TemporaryFolder folder;
  write_reviews(folder, "aclImdb");
  folder.write("aclImdb/train/pos/2_9.txt", bytes("good<br />film"));
  auto options = quick(ImdbDataModuleOptions());
  options.data_dir = folder.path();
  options.vocab_size = 40;
  const ImdbDataModule module(options);
  EXPECT_EQ(module.vocab_size(), 40);
  const auto tokenizer = module.tokenizer();
  EXPECT_EQ(tokenizer->encode("good<br />film"), tokenizer->encode("good film"));
  EXPECT_TRUE(std::filesystem::exists(folder / "imdb-tokenizer-40.json"));
  folder.write("aclImdb/train/pos/2_9.txt", bytes("other text"));
  EXPECT_EQ(ImdbDataModule(options).tokenizer()->encode("good"), tokenizer->encode("good"));
}

TEST(Imdb, SaysWhereItLooked) {
  const TemporaryFolder folder;
  auto options = quick(ImdbDataModuleOptions());
  options.data_dir = folder.path();
  const ImdbDataModule module(options);
  expect_error<core::DataError>([&] { module.train(); }, folder / "IMDB");
  expect_error<core::DataError>([&] { module.train(); }, "ai.stanford.edu");
  options.tokenizer = "bytes";
  const ImdbDataModule of_bytes(options);
  for (int again = 0; again < 2; ++again) {
    expect_error<core::DataError>([&] { of_bytes.train(); }, folder / "IMDB");
  }
  folder.write("aclImdb_v1.tar.gz", bytes("no archive"));
  expect_error<core::DataError>([&] { module.train(); }, "aclImdb_v1.tar.gz: no archive");
}

TEST(Imdb, RefusesATokenizerThatIsTooLarge) {
  const TemporaryFolder folder;
  write_reviews(folder, "aclImdb");
  auto options = quick(ImdbDataModuleOptions());
  options.data_dir = folder.path();
  options.vocab_size = 30;
  options.tokenizer = folder / "t.json";
  ImdbDataModule(options).tokenizer();
  options.vocab_size = 10;
  expect_error<core::ConfigError>([&] { ImdbDataModule(options).tokenizer(); }, "set vocab_size to");
}

// ---- Folders and files

TEST(TextFolder, HoldsATenthOut) {
  const TemporaryFolder folder;
  for (int i = 0; i < 10; ++i) {
    folder.write("b/" + std::to_string(i) + ".txt", bytes("b" + std::to_string(i)));
    folder.write("a/" + std::to_string(i) + ".txt", bytes("a" + std::to_string(i)));
  }
  folder.write("a/notes.md", bytes("not a text"));
  auto options = quick(TextFolderOptions());
  options.data_dir = folder.path();
  options.tokenizer = "bytes";
  const TextFolder module(options);
  EXPECT_THAT(module.class_names(), ElementsAre("a", "b"));
  const auto train = all_of(*module.train()), validation = all_of(*module.validation());
  EXPECT_EQ(train.at("ids").size(0), 18);
  EXPECT_EQ(validation.at("ids").size(0), 2);
  EXPECT_EQ(module.test(), nullptr);
  const auto all = rows(at::cat({train.at("ids"), validation.at("ids")}));
  EXPECT_EQ(std::set(all.begin(), all.end()).size(), 20);
  for (const auto* part : {&train, &validation}) {
    EXPECT_TRUE(part->at("label").eq(part->at("ids").select(1, 0).sub(ids_of("a")[0])).all().item<bool>());
  }
  folder.write("test/a/0.txt", bytes("a!"));  // no train folder: it counts as a class
  EXPECT_THAT(TextFolder(options).class_names(), ElementsAre("a", "b", "test"));
}

TEST(TextFolder, HasAFolderForEachPart) {
  const TemporaryFolder folder;
  for (const std::string part : {"train", "validation", "test"}) {
    folder.write(part + "/x/1.txt", bytes(part.substr(0, 2)));
    folder.write(part + "/y/1.txt", bytes(part.substr(1, 2)));
  }
  auto options = quick(TextFolderOptions());
  options.data_dir = folder.path();
  options.tokenizer = "bytes";
  options.classes = {{"y", "x"}};
  const TextFolder module(options);
  EXPECT_EQ(module.train()->dataset().size(), 2);
  EXPECT_THAT(rows(all_of(*module.validation()).at("ids")), ElementsAre(ids_of("al"), ids_of("va")));
  EXPECT_THAT(rows(all_of(*module.test()).at("ids")), ElementsAre(ids_of("es"), ids_of("te")));
  options.classes = {{"z"}};
  expect_error<core::DataError>([&] { TextFolder(options).train(); }, "/train/z");
  options.classes.reset();
  options.data_dir = folder / "train/x";
  expect_error<core::DataError>([&] { TextFolder{options}; }, "expected a folder of .txt files for each class");
}

TEST(TextFile, SplitsDocumentsOfFilesOrLines) {
  const TemporaryFolder folder;
  folder.write("book.txt", bytes("0123456789\nab\n"));
  folder.write("more/deep/one.txt", bytes("xyz"));
  auto options = quick(TextFileOptions());
  options.files = {folder / "book.txt", folder / "more"};
  options.val_split = 0;
  EXPECT_EQ(TextFile(options).train()->dataset().size(), 3);  // 8 + 6, 3
  EXPECT_EQ(TextFile(options).validation(), nullptr);
  options.documents = Documents::line;
  const TextFile lines(options);
  EXPECT_EQ(lines.train()->dataset().size(), 4);  // 8 + 2, 2, 3
  EXPECT_EQ(lines.bytes_per_token(), 1.0);
  options.val_split = 0.5;
  EXPECT_EQ(TextFile(options).validation()->dataset().size(), 2);
  options.files.clear();
  expect_error<core::ConfigError>([&] { TextFile{options}; }, "files: none are named");
  options.val_split = 1.0;
  options.files = {folder.path()};
  expect_error<core::ConfigError>([&] { TextFile{options}; }, "val_split");
}

TEST(TextDataModule, GivesTheSameBatchesForAnyNumberOfWorkers) {
  const TemporaryFolder folder;
  for (int i = 0; i < 40; ++i) folder.write(std::to_string(i) + ".txt", bytes(std::string(i % 7 + 1, 'a' + i % 26)));
  auto options = quick(TextFileOptions());
  options.files = {folder.path()};
  options.batch_size = 4;
  const TextFile alone(options);
  options.num_workers = 3;
  const TextFile together(options);
  const auto a = alone.train(), b = together.train();
  a->start(2);
  b->start(2);
  while (const auto batch = a->next()) EXPECT_TRUE(batch->at("ids").equal(b->next()->at("ids")));
  EXPECT_EQ(b->next(), std::nullopt);
  EXPECT_EQ(alone.fingerprint(), together.fingerprint());
}

}  // namespace
}  // namespace perceive::data
