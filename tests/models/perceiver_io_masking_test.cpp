// The masking of perceiver-io 0.2.1: its draws, its shares, and what it leaves alone.
#include <ATen/CPUGeneratorImpl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "perceive/models/dialects/perceiver_io/masked_lm.h"
#include "tests/models/perceiver_io_text.h"
#include "tests/refusal.h"

namespace perceive::models::perceiver_io {
namespace {

using testing::HasSubstr;

TEST(TextMasking, DrawsLikeTheOriginal) {
  // By the same draws in Python, torch 2.15.0, after manual_seed(7).
  const auto expected_ids =
      at::tensor({5,  2,  19, 3,  10, 18, 1, 8,  2,  22, 6,  13, 2, 2, 2, 2, 2, 2,  16, 2, 7, 2, 21, 5,
                  12, 19, 3,  10, 17, 1,  8, 15, 22, 6,  13, 20, 8, 2, 2, 2, 9, 16, 2,  7, 0, 0, 0,  0},
                 at::kLong);
  constexpr int n = -100;
  const auto expected_labels =
      at::tensor({n, 12, n, n, 10, 17, n, n, 15, n, n, n, 20, 4,  11, 18, n, 9,  n, 0, n, 14, n, n,
                  n, n,  n, n, n,  n,  n, n, n,  n, n, n, 4,  11, 18, 2,  n, 16, 0, n, n, n,  n, n},
                 at::kLong);
  auto ids = (at::arange(48).view({2, 24}) * 7 + 5).remainder(23);
  auto padding = at::zeros({2, 24}, at::kBool);
  padding[1].narrow(0, 20, 4).fill_(true);
  ids.masked_fill_(padding, 0);
  const auto before = ids.clone();
  const TextMasking masking({.vocab_size = 23, .mask_p = 0.45});
  const auto expect = [&](const MaskedText& masked) {
    EXPECT_TRUE(at::equal(masked.ids.flatten(), expected_ids)) << masked.ids;
    EXPECT_TRUE(at::equal(masked.labels.flatten(), expected_labels)) << masked.labels;
  };
  at::manual_seed(7);
  expect(masking(ids, padding));
  expect(masking(ids, padding, at::detail::createCPUGenerator(7)));
  EXPECT_TRUE(at::equal(ids, before));
}

TEST(TextMasking, MasksInTheSharesOfTheOriginal) {
  at::manual_seed(1);
  const auto ids = at::arange(200 * 500).view({200, 500}).remainder(900) + 100;
  const auto [masked, labels] = TextMasking({.vocab_size = 1000})(ids);
  const auto chosen = labels.ne(-100);
  const auto share = [](const at::Tensor& part, const at::Tensor& of) {
    return part.sum().item<double>() / of.sum().item<double>();
  };
  EXPECT_NEAR(chosen.to(at::kDouble).mean().item<double>(), 0.15, 0.005);
  EXPECT_NEAR(share(masked.eq(2), chosen), 0.8, 0.01);
  EXPECT_NEAR(share(masked.eq(ids).logical_and(chosen), chosen), 0.1, 0.01);
  EXPECT_TRUE(masked.eq(ids).logical_or(chosen).all().item<bool>());
  EXPECT_TRUE(at::equal(labels.masked_select(chosen), ids.masked_select(chosen)));
  EXPECT_TRUE(masked.ge(2).logical_and(masked.lt(1000)).all().item<bool>());
}

TEST(TextMasking, LeavesPaddingAndUnknownTokensAlone) {
  const TextMasking masking({.vocab_size = 23, .mask_p = 1.0});
  auto ids = at::full({2, 4}, 1);
  EXPECT_TRUE(masking(ids).labels.eq(-100).all().item<bool>());
  ids.fill_(2);  // a mask token of the input may be chosen
  EXPECT_TRUE(masking(ids).labels.eq(2).all().item<bool>());
  EXPECT_TRUE(masking(ids, at::ones({2, 4}, at::kBool)).labels.eq(-100).all().item<bool>());
  EXPECT_THAT(refusal([&] { masking(ids, at::ones({2, 3}, at::kBool)); }), HasSubstr("pad_mask: expected bool [2, 4]"));
}

TEST(TextMasking, MasksATextTheSameWayEachTimeWhereAsked) {
  const TextMasking masking({.vocab_size = 100});
  const auto ids = at::arange(64).add(3).view({4, 16});
  const auto first = masking.same_each_time(ids);
  at::rand({3});
  const auto again = masking.same_each_time(ids);
  EXPECT_TRUE(at::equal(first.ids, again.ids));
  EXPECT_TRUE(at::equal(first.labels, again.labels));
  EXPECT_FALSE(at::equal(first.labels.ne(-100), masking.same_each_time(ids + 1).labels.ne(-100)));
}

TEST(TextMasking, PrecedesTheModel) {
  MaskedLM model(small_masked_lm(true));
  model->eval();
  at::manual_seed(3);
  const auto [ids, labels] = model->masking()(text_ids(), text_padding());
  at::manual_seed(3);
  const auto masked = model->forward_masked(text_ids(), text_padding());
  EXPECT_TRUE(at::equal(masked.labels, labels));
  EXPECT_TRUE(at::equal(masked.logits, model->forward(ids, text_padding())));
}

TEST(MaskedLM, GivesTheSameLogitsOfSomePlaces) {
  for (const bool tied : {true, false}) {
    MaskedLM model(small_masked_lm(tied));
    model->eval();
    const auto places = text_ids().remainder(3).eq(0);
    const auto all = model->forward(text_ids(), text_padding());
    EXPECT_TRUE(at::allclose(model->forward_at(text_ids(), text_padding(), places), all.index({places}), 1e-5, 1e-6));
    EXPECT_EQ(model->forward_at(text_ids(), text_padding(), at::zeros_like(places)).size(0), 0);
    EXPECT_THAT(refusal([&] { model->forward_at(text_ids(), text_padding(), places.narrow(0, 0, 1)); }),
                HasSubstr("Decoder: expected places of bool [2, "));
  }
}

}  // namespace
}  // namespace perceive::models::perceiver_io
