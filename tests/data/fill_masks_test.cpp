// Masked tokens, filled by made-up scores.
#include "perceive/data/fill_masks.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "files.h"
#include "perceive/core/error.h"
#include "perceive/data/text/wordpiece.h"

namespace perceive::data {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

const std::vector<std::string> kWords{"[PAD]", "[UNK]", "[MASK]", "a", "good", "bad", "film"};

TEST(FillMasks, PutsTheSameRankAtAllPlaces) {
  const WordPieceTokenizer tokenizer(kWords, {"[PAD]", "[UNK]", "[MASK]"});
  const auto ids = at::tensor({3, 2, 2, 3, 4, 0}, at::kLong).view({2, 3});
  auto logits = at::zeros({2, 3, 9});  // the model has two tokens more than the tokenizer
  logits[0][1][4] = 3;
  logits[0][1][5] = 2;
  logits[0][2][6] = 5;
  logits[0][2][4] = 1;
  logits.select(2, 8).fill_(100);
  const auto filled = fill_masks(ids, logits, tokenizer, 2);
  ASSERT_EQ(filled.size(), 2);
  EXPECT_THAT(filled[0].texts, ElementsAre("a good film", "a bad good"));
  ASSERT_EQ(filled[0].masks.size(), 2);
  EXPECT_EQ(filled[0].masks[1][0].first, "film");
  EXPECT_NEAR(filled[0].masks[1][0].second, std::exp(5) / (std::exp(5) + std::exp(1) + 5), 1e-5);
  EXPECT_THAT(filled[1].masks, IsEmpty());
  EXPECT_THAT(filled[1].texts, ElementsAre("a good", "a good"));
}

TEST(FillMasks, NeedsAMaskToken) {
  const WordPieceTokenizer tokenizer({"[PAD]", "[UNK]", "a"}, {"[PAD]", "[UNK]"});
  expect_error<core::ConfigError>([&] { mask_id(tokenizer); }, "[MASK]");
}

TEST(WithMaskTokens, TakesTheOriginalsSpelling) {
  EXPECT_EQ(with_mask_tokens("<MASK>, a <MASK> film <mask>"), "[MASK], a [MASK] film <mask>");
}

}  // namespace
}  // namespace perceive::data
