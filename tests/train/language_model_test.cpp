// Learning tokens, and the texts that are logged of it.
#include "perceive/train/language_model.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/nn/modules/embedding.h>

#include <cmath>

#include "perceive/train/text_logger.h"
#include "tests/io/temporary_folder.h"

namespace perceive::train {
namespace {

using io::put;
using io::read_file;
using io::TemporaryFolder;

data::Batch batch() {
  const auto ids = at::tensor({5, 6, 7, 4, 0, 0}, at::kLong).view({2, 3});
  return {{"ids", ids}, {"mask", ids.ne(0)}};
}

// The logits of a token are its own row.
LanguageModel learner(LanguageModel::Prepare prepare) {
  at::manual_seed(1);
  torch::nn::Embedding rows(8, 8);
  const auto forward = [rows](const at::Tensor& ids, const at::Tensor&, const at::Tensor& places) mutable {
    return places.defined() ? rows(ids).index({places}) : rows(ids);
  };
  return {rows.ptr(), forward, std::move(prepare)};
}

TEST(NextTokens, AsksForWhatFollowsAndCounts) {
  const auto task = next_tokens(batch());
  EXPECT_TRUE(task.labels.equal(at::tensor({6, 7, -100, -100, -100, -100}, at::kLong).view({2, 3})));
  EXPECT_TRUE(task.ids.equal(batch().at("ids")));
  EXPECT_EQ(task.count, 2);
}

TEST(NextTokens, TakesTextsOfOneToken) {
  const auto one = at::tensor({5}, at::kLong).view({1, 1});
  const auto task = next_tokens({{"ids", one}, {"mask", one.ne(0)}});
  EXPECT_TRUE(task.labels.eq(kNotAsked).all().item<bool>());
  EXPECT_EQ(task.count, 1);
}

TEST(LanguageModel, TakesTheMeanOverTheTokensAskedFor) {
  auto model = learner([](const data::Batch& given, Stage) { return next_tokens(given); });
  model.set_bytes_per_token([] { return 4.0; });
  model.add_perplexity();
  const auto output = model.step(batch(), Stage::fit);
  const auto rows = model.module().parameters().front();
  const auto logs = rows.index_select(0, at::tensor({5, 6}, at::kLong)).log_softmax(1);
  const auto expected = -(logs[0][6] + logs[1][7]) / 2;
  EXPECT_TRUE(at::allclose(output.loss, expected));
  EXPECT_EQ(output.count, 2);
  EXPECT_TRUE(at::allclose(output.metrics.at("bits_per_byte"), expected / (4 * std::log(2.0))));
  EXPECT_TRUE(at::allclose(output.logarithms.at("perplexity"), expected));
}

TEST(LanguageModel, IsAtRestWhereNothingIsAsked) {
  auto model = learner([](const data::Batch& given, Stage) {
    return TokenTask{given.at("ids"), given.at("mask"), at::full_like(given.at("ids"), kNotAsked), 2};
  });
  const auto output = model.step(batch(), Stage::fit);
  EXPECT_EQ(output.loss.item<float>(), 0.0f);
  output.loss.backward();
  EXPECT_TRUE(model.module().parameters().front().grad().eq(0).all().item<bool>());
}

// ---- The file

TEST(TextLogger, WritesAFileATag) {
  const TemporaryFolder folder;
  TextLogger logger(folder.path(), nullptr);
  logger.log_text(0, "sample predictions", "a\nb");
  logger.log_text(12, "sample predictions", "c");
  logger.log_text(12, "other", "d");
  EXPECT_EQ(read_file(folder / "sample_predictions.txt"), "# step 0\n\na\nb\n\n# step 12\n\nc\n\n");
  EXPECT_EQ(read_file(folder / "other.txt"), "# step 12\n\nd\n\n");
}

TEST(TextLogger, GoesOnWithWhatARunThatWasStoppedHas) {
  const TemporaryFolder folder;
  const auto file = folder / "t.txt";
  put(file, "# step 0\n\na\n\n# step 5\n\nb\n\n# step 7\n\nc\n\n# step 9\n\nlost\n\n");
  TextLogger logger(folder.path(), nullptr, 7);
  logger.log_text(7, "t", "c");  // is there
  logger.log_text(9, "t", "d");
  EXPECT_EQ(read_file(file), "# step 0\n\na\n\n# step 5\n\nb\n\n# step 7\n\nc\n\n# step 9\n\nd\n\n");
}

TEST(TextLogger, TakesALineThatOnlyLooksLikeAHeadAsText) {
  const TemporaryFolder folder;
  put(folder / "t.txt", "# step 1\n\n# step one\n\n# step 2\n\nb\n\n");
  TextLogger logger(folder.path(), nullptr, 1);
  logger.log_text(3, "t", "c");
  EXPECT_EQ(read_file(folder / "t.txt"), "# step 1\n\n# step one\n\n# step 3\n\nc\n\n");
}

}  // namespace
}  // namespace perceive::train
