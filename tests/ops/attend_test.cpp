// attend on given keys and values.
#include "perceive/ops/attend.h"

#include <ATen/Parallel.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/autograd.h>

#include <tuple>

#include "perceive/ops/operators.h"
#include "tests/ops/reference.h"
#include "tests/refusal.h"

namespace perceive::ops {
namespace {

using testing::difference;
using testing::formula;
using ::testing::HasSubstr;

struct Inputs {
  at::Tensor q, k, v;
};

Inputs inputs(int64_t b, int64_t h, int64_t key_heads, int64_t n, int64_t m, int64_t d, int64_t dv,
              at::ScalarType type = at::kDouble) {
  torch::manual_seed(b * 1000 + n * 10 + m);
  return {at::randn({b, h, n, d}, at::kDouble).to(type), at::randn({b, key_heads, m, d}, at::kDouble).to(type),
          at::randn({b, key_heads, m, dv}, at::kDouble).to(type)};
}

class AttendShapes : public ::testing::TestWithParam<std::tuple<int64_t, int64_t, int64_t, int64_t, int64_t, bool>> {};

TEST_P(AttendShapes, AgreeWithTheFormula) {
  const auto [b, h, n, m, d, causal] = GetParam();
  for (const int64_t key_heads : {h, int64_t{1}}) {
    const auto [q, k, v] = inputs(b, h, key_heads, n, m, d, d + 3);
    for (const int64_t tile : {0, 1, 5}) {
      AttendOptions options{.causal = causal, .query_tile = tile, .key_tile = tile == 0 ? 0 : tile + 2};
      const auto expected = formula(q, k, v, {}, options);
      const auto result = attend(q, k, v, {}, options);
      EXPECT_LT(difference(result.out, expected.out), 1e-12);
      EXPECT_LT(difference(result.lse, expected.lse), 1e-12);
      const auto single = attend(q.to(at::kFloat), k.to(at::kFloat), v.to(at::kFloat), {}, options);
      EXPECT_LT(difference(single.out, expected.out), 1e-5);
      EXPECT_EQ(single.out.scalar_type(), at::kFloat);
      const auto half = [](const at::Tensor& t) { return t.to(at::kBFloat16); };
      const auto rounded = formula(half(q), half(k), half(v), {}, options);
      const auto result_of_half = attend(half(q), half(k), half(v), {}, options);
      EXPECT_LT(difference(result_of_half.out, rounded.out), 2e-2);
      EXPECT_LT(difference(result_of_half.lse, rounded.lse), 1e-5);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(OddAndPrime, AttendShapes,
                         ::testing::Combine(::testing::Values(1, 3), ::testing::Values(1, 2),
                                            ::testing::Values(1, 7, 13), ::testing::Values(1, 5, 31),
                                            ::testing::Values(1, 8, 17), ::testing::Bool()));

TEST(Attend, CrossesTheBordersOfItsOwnTiles) {
  const auto [q, k, v] = inputs(2, 3, 3, 67, 2500, 5, 4);
  EXPECT_LT(difference(attend(q, k, v).out, formula(q, k, v).out), 1e-12);
  EXPECT_LT(difference(attend(k, q, q).out, formula(k, q, q).out), 1e-12);
}

TEST(Attend, TakesMasksOfEveryShape) {
  const auto [q, k, v] = inputs(2, 3, 3, 5, 11, 4, 4);
  for (const auto& shape : std::vector<std::vector<int64_t>>{
           {2, 11}, {2, 1, 1, 11}, {2, 3, 5, 11}, {1, 3, 1, 11}, {2, 1, 5, 1}, {3, 5, 11}, {1, 1, 1, 1}}) {
    const auto mask = at::rand(shape) > 0.4;
    const auto expected = formula(q, k, v, mask), result = attend(q, k, v, mask, {.key_tile = 4});
    EXPECT_LT(difference(result.out, expected.out), 1e-12) << at::IntArrayRef(shape);
    EXPECT_LT(difference(result.lse, expected.lse), 1e-12) << at::IntArrayRef(shape);
    const auto half = [](const at::Tensor& t) { return t.to(at::kBFloat16); };
    EXPECT_LT(difference(attend(half(q), half(k), half(v), mask).out, formula(half(q), half(k), half(v), mask).out),
              2e-2)
        << at::IntArrayRef(shape);
  }
}

TEST(Attend, GivesZeroForRowsWithNoKeyLeft) {
  auto [q, k, v] = inputs(2, 1, 1, 3, 4, 2, 2);
  auto mask = at::ones({2, 4}, at::kBool);
  mask[1].fill_(false);
  for (auto* t : {&q, &k, &v}) t->requires_grad_();
  const auto result = attend(q, k, v, mask);
  EXPECT_EQ(result.out[1].abs().sum().item<double>(), 0.0);
  EXPECT_EQ(result.lse[1].max().item<double>(), -INFINITY);
  const auto grads = torch::autograd::grad({result.out.sum()}, {q, k, v});
  for (const auto& grad : grads) {
    EXPECT_TRUE(at::isfinite(grad).all().item<bool>());
    EXPECT_EQ(grad[1].abs().sum().item<double>(), 0.0);
  }
}

TEST(Attend, TakesEmptyInputs) {
  for (const auto& [n, m] : {std::pair<int64_t, int64_t>{0, 3}, {3, 0}, {0, 0}}) {
    auto [q, k, v] = inputs(2, 2, 2, n, m, 4, 4);
    q.requires_grad_();
    const auto result = attend(q, k, v);
    EXPECT_EQ(result.out.sizes(), at::IntArrayRef({2, 2, n, 4}));
    EXPECT_EQ(result.out.abs().sum().item<double>(), 0.0);
    EXPECT_EQ(torch::autograd::grad({result.out.sum()}, {q})[0].sizes(), q.sizes());
  }
  EXPECT_EQ(attend(at::ones({0, 2, 3, 4}), at::ones({0, 2, 5, 4}), at::ones({0, 2, 5, 4})).out.size(0), 0);
}

TEST(Attend, KeepsNaNBehindAMaskOut) {
  auto [q, k, v] = inputs(1, 2, 2, 4, 9, 3, 3);
  auto key_mask = at::ones({1, 9}, at::kBool);
  key_mask[0][5] = false;
  auto pair_mask = at::ones({1, 1, 4, 9}, at::kBool);
  pair_mask[0][0].narrow(0, 1, 3).select(1, 5).fill_(false);  // query 0 still sees key 5
  const auto clean = formula(q, k, v, key_mask);
  k.select(2, 5).fill_(NAN);
  v.select(2, 5).fill_(NAN);
  q.requires_grad_();
  k.requires_grad_();
  const auto by_key = attend(q, k, v, key_mask);
  EXPECT_LT(difference(by_key.out, clean.out), 1e-12);
  for (const auto& grad : torch::autograd::grad({by_key.out.sum()}, {q, k})) {
    EXPECT_TRUE(at::isfinite(grad).all().item<bool>());
  }
  const auto by_pair = attend(q, k, v, pair_mask);
  EXPECT_LT(difference(by_pair.out.narrow(2, 1, 3), clean.out.narrow(2, 1, 3)), 1e-12);
  EXPECT_TRUE(at::isnan(by_pair.out.select(2, 0)).all().item<bool>());
  EXPECT_TRUE(at::isfinite(torch::autograd::grad({by_pair.out.narrow(2, 1, 3).sum()}, {q})[0].narrow(2, 1, 3))
                  .all()
                  .item<bool>());
}

TEST(Attend, KeepsNaNInTheFutureOut) {
  auto [q, k, v] = inputs(1, 1, 1, 4, 6, 3, 3);
  const AttendOptions causal{.causal = true};
  const auto clean = formula(q, k, v, {}, causal);
  v.select(2, 5).fill_(NAN);
  EXPECT_LT(difference(attend(q, k, v, {}, causal).out.narrow(2, 0, 3), clean.out.narrow(2, 0, 3)), 1e-12);
}

TEST(Attend, SurvivesLargeScores) {
  auto [q, k, v] = inputs(1, 1, 1, 5, 300, 8, 8, at::kFloat);
  q = q * 1e4;
  EXPECT_LT(difference(attend(q, k, v, {}, {.key_tile = 7}).out, formula(q, k, v).out), 1e-2);
  EXPECT_TRUE(
      at::isfinite(attend(q.to(at::kHalf).clamp(-6e4, 6e4), k.to(at::kHalf), v.to(at::kHalf)).out).all().item<bool>());
}

TEST(Attend, AccumulatesHalfPrecisionInSingle) {
  for (const auto type : {at::kBFloat16, at::kHalf}) {
    const auto [q, k, v] = inputs(1, 2, 2, 9, 700, 16, 16, type);
    const auto expected = formula(q, k, v);
    const auto result = attend(q, k, v);
    EXPECT_EQ(result.out.scalar_type(), type);
    EXPECT_EQ(result.lse.scalar_type(), at::kFloat);
    EXPECT_LT(difference(result.lse, expected.lse), 1e-5);
    EXPECT_LT(difference(result.out, expected.out), type == at::kHalf ? 1e-3 : 8e-3);
  }
}

TEST(Attend, TakesNonContiguousAndExpandedInputs) {
  const auto base = at::randn({2, 9, 3, 4}, at::kDouble);
  const auto q = base.transpose(1, 2), k = at::randn({1, 1, 5, 8}, at::kDouble).slice(3, 0, 8, 2).expand({2, 3, 5, 4});
  const auto v = at::randn({2, 3, 4, 5}, at::kDouble).transpose(2, 3);
  EXPECT_LT(difference(attend(q, k, v).out, formula(q, k, v).out), 1e-12);
  // Widths of whole steps too, whose rows lie elsewhere all the same.
  for (const int64_t width : {32, 33}) {
    const auto wide = at::randn({2, 3, 64, 2 * width}).to(at::kBFloat16), narrow = wide.slice(3, 0, 2 * width, 2);
    const auto turned = at::randn({2, 3, width, 64}).to(at::kBFloat16).transpose(2, 3);
    const auto expanded = at::randn({1, 1, 64, width}).to(at::kBFloat16).expand({2, 3, 64, width});
    EXPECT_LT(difference(attend(narrow, turned, expanded).out, formula(narrow, turned, expanded).out), 2e-2);
    EXPECT_LT(difference(attend(turned, expanded, narrow).out, formula(turned, expanded, narrow).out), 2e-2);
  }
}

at::Tensor weighted_sum(const Attended& attended) {
  const auto pattern = at::linspace(-1.0, 1.0, attended.out.numel(), at::kDouble).reshape(attended.out.sizes());
  const auto lse = attended.lse.masked_fill(attended.lse == -INFINITY, 0.0);
  return (attended.out * pattern).sum() + (lse * lse).sum() * 0.1;
}

TEST(Attend, HasTheGradientOfTheFormula) {
  for (const bool causal : {false, true}) {
    for (const int64_t key_heads : {1, 2}) {
      auto [q, k, v] = inputs(2, 2, key_heads, 7, 12, 5, 3);
      for (auto* t : {&q, &k, &v}) t->requires_grad_();
      const auto mask = at::rand({2, 12}) > 0.3;
      const AttendOptions options{.causal = causal, .query_tile = 3, .key_tile = 4};
      const auto result = attend(q, k, v, mask, options);
      ASSERT_TRUE(result.out.requires_grad());
      const auto expected = torch::autograd::grad({weighted_sum(formula(q, k, v, mask, options))}, {q, k, v});
      const auto grads = torch::autograd::grad({weighted_sum(result)}, {q, k, v});
      for (size_t i = 0; i < 3; ++i) EXPECT_LT(difference(grads[i], expected[i]), 1e-11) << i;
    }
  }
}

// Blocks of queries and tiles of keys, whole and partial, in single precision.
TEST(Attend, HasTheGradientOfTheFormulaInSinglePrecision) {
  for (const bool masked : {false, true}) {
    for (const double dropout : {0.0, 0.3}) {
      auto [q, k, v] = inputs(1, 2, 2, 131, 450, 37, 50);
      const auto mask = masked ? at::rand({1, 2, 131, 450}) > 0.3 : at::Tensor();
      const AttendOptions options{.causal = masked, .dropout = dropout, .seed = 3};
      const auto run = [&](at::ScalarType type) {
        std::vector<at::Tensor> leaves;
        for (const auto& t : {q, k, v}) leaves.push_back(t.to(type).detach().requires_grad_());
        const auto result = attend(leaves[0], leaves[1], leaves[2], mask, options);
        auto all = torch::autograd::grad({weighted_sum(result)}, leaves);
        all.push_back(result.out.detach());
        all.push_back(result.lse.detach());
        return all;
      };
      const auto expected = run(at::kDouble), got = run(at::kFloat);
      for (size_t i = 0; i < got.size(); ++i) {
        EXPECT_LT(difference(got[i], expected[i]), 1e-5 * (1 + expected[i].abs().max().item<double>())) << i;
      }
    }
  }
}

TEST(Attend, HasTheGradientOfTheFormulaInHalfPrecision) {
  for (const bool causal : {false, true}) {
    for (const int64_t key_heads : {1, 2}) {
      auto [q, k, v] = inputs(2, 2, key_heads, 67, 211, 37, 19, at::kBFloat16);
      const auto mask = at::rand({2, 211}) > 0.3;
      const AttendOptions options{.causal = causal};
      std::vector<at::Tensor> halves{q, k, v}, doubles;
      for (auto& t : halves) {
        doubles.push_back(t.to(at::kDouble).requires_grad_());
        t.requires_grad_();
      }
      const auto expected =
          torch::autograd::grad({formula(doubles[0], doubles[1], doubles[2], mask, options).out.sum()}, doubles);
      const auto grads =
          torch::autograd::grad({attend(halves[0], halves[1], halves[2], mask, options).out.sum()}, halves);
      for (size_t i = 0; i < 3; ++i) {
        EXPECT_LT(difference(grads[i], expected[i]), 1e-2 * expected[i].abs().max().item<double>()) << i;
      }
    }
  }
}

TEST(Attend, HasTheNumericGradientUnderDropout) {
  auto [q, k, v] = inputs(1, 2, 2, 3, 6, 2, 2);
  for (auto* t : {&q, &k, &v}) t->requires_grad_();
  const AttendOptions options{.dropout = 0.4, .seed = 11, .key_tile = 4};
  const auto loss = [&] { return weighted_sum(attend(q, k, v, {}, options)); };
  const auto grads = torch::autograd::grad({loss()}, {q, k, v});
  const at::NoGradGuard no_grad;
  const at::Tensor* const tensors[] = {&q, &k, &v};
  for (size_t t = 0; t < 3; ++t) {
    auto flat = tensors[t]->view(-1);
    for (int64_t i = 0; i < flat.numel(); ++i) {
      const double value = flat[i].item<double>(), step = 1e-6;
      flat[i] = value + step;
      const double above = loss().item<double>();
      flat[i] = value - step;
      const double below = loss().item<double>();
      flat[i] = value;
      EXPECT_NEAR(grads[t].view(-1)[i].item<double>(), (above - below) / (2 * step), 1e-7);
    }
  }
}

TEST(Attend, DropsByPositionWhateverTheTiles) {
  const auto [q, k, v] = inputs(2, 2, 2, 9, 50, 4, 4);
  const auto whole = attend(q, k, v, {}, {.dropout = 0.3, .seed = 5});
  const auto tiled = attend(q, k, v, {}, {.dropout = 0.3, .seed = 5, .query_tile = 2, .key_tile = 7});
  EXPECT_LT(difference(whole.out, tiled.out), 1e-12);
  EXPECT_GT(difference(whole.out, attend(q, k, v, {}, {.dropout = 0.3, .seed = 6}).out), 1e-3);
  // The mean over the kept weights is that of all: values of one give the share kept, rescaled.
  const auto ones = attend(at::zeros({1, 1, 64, 2}), at::zeros({1, 1, 4096, 2}), at::ones({1, 1, 4096, 1}), {},
                           {.dropout = 0.3, .seed = 1});
  EXPECT_NEAR(ones.out.mean().item<double>(), 1.0, 0.01);
  EXPECT_NEAR(ones.out.std().item<double>(), std::sqrt(0.3 / 0.7 / 4096), 0.003);
}

TEST(Attend, HasTheSameBitsForAnyNumberOfThreads) {
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    auto [q, k, v] = inputs(3, 2, 2, 49, 5000, 32, 32, type);
    for (auto* t : {&q, &k, &v}) t->requires_grad_();
    const int threads = at::get_num_threads();
    std::vector<std::vector<at::Tensor>> results;
    for (const int count : {1, 2, 3}) {
      at::set_num_threads(count);
      const auto result = attend(q, k, v);
      auto all = torch::autograd::grad({result.out.sin().sum()}, {q, k, v});
      all.push_back(result.out.detach());
      results.push_back(all);
    }
    at::set_num_threads(threads);
    for (size_t i = 0; i < 4; ++i) {
      EXPECT_TRUE(at::equal(results[0][i], results[1][i])) << i;
      EXPECT_TRUE(at::equal(results[0][i], results[2][i])) << i;
    }
  }
}

TEST(Attend, MergesDisjointKeysExactly) {
  auto [q, k, v] = inputs(2, 2, 2, 5, 20, 4, 4);
  for (auto* t : {&q, &k, &v}) t->requires_grad_();
  const auto mask = at::rand({2, 20}) > 0.5;
  const auto part = [&](int64_t begin, int64_t count) {
    return attend(q, k.narrow(2, begin, count), v.narrow(2, begin, count), mask.narrow(1, begin, count));
  };
  const auto merged = merge(merge(part(0, 3), part(3, 1)), part(4, 16));
  const auto whole = formula(q, k, v, mask);
  EXPECT_LT(difference(merged.out, whole.out), 1e-12);
  EXPECT_LT(difference(merged.lse, whole.lse), 1e-12);
  const auto expected = torch::autograd::grad({weighted_sum(whole)}, {q, k, v});
  const auto grads = torch::autograd::grad({weighted_sum(merged)}, {q, k, v});
  for (size_t i = 0; i < 3; ++i) EXPECT_LT(difference(grads[i], expected[i]), 1e-11) << i;
}

TEST(Attend, ShowsItsWeightsForTheRowsAskedFor) {
  const auto [q, k, v] = inputs(2, 3, 1, 7, 13, 4, 4);
  const auto mask = at::rand({2, 13}) > 0.3;
  const AttendOptions options{.causal = true, .key_tile = 5};
  const auto result = attend(q, k, v, mask, options);
  const auto all = attention_weights(q, k, result.lse, {}, mask, options);
  EXPECT_LT(difference(all.matmul(v), result.out), 1e-12);
  const auto rows = at::tensor({6, 0, 3}, at::kLong);
  EXPECT_LT(difference(attention_weights(q, k, result.lse, rows, mask, options), all.index_select(2, rows)), 1e-15);
}

TEST(Attend, RefusesWhatDoesNotFit) {
  const auto t = [](std::vector<int64_t> sizes) { return at::zeros(sizes); };
  EXPECT_THAT(refusal([&] {
                attend(t({1, 1, 2, 3}), t({1, 1, 2, 4}), t({1, 1, 2, 4}));
              }),
              HasSubstr("attend: q and k must share the head dimension; got q [1, 1, 2, 3] and k [1, 1, 2, 4]"));
  EXPECT_THAT(refusal([&] {
                attend(t({2, 3}), t({1, 1, 2, 3}), t({1, 1, 2, 3}));
              }),
              HasSubstr("attend: q must be [B, H, N, D]; got [2, 3]"));
  EXPECT_THAT(refusal([&] {
                attend(t({1, 4, 2, 3}), t({1, 2, 2, 3}), t({1, 2, 2, 3}));
              }),
              HasSubstr("attend: k and v must have the 4 heads of q, or one; got k [1, 2, 2, 3]"));
  EXPECT_THAT(refusal([&] {
                attend(t({1, 1, 2, 3}), t({1, 1, 2, 3}), t({1, 1, 2, 3}), at::ones({1, 2}));
              }),
              HasSubstr("attend: mask must be bool, true where a key counts; got Float"));
  EXPECT_THAT(refusal([&] {
                attend(t({1, 1, 2, 3}), t({1, 1, 5, 3}), t({1, 1, 5, 3}), at::ones({1, 4}, at::kBool));
              }),
              HasSubstr("attend: mask must be [B, M] or broadcastable to [1, 1, 2, 5]; got [1, 4]"));
  EXPECT_THAT(refusal([&] {
                attend(t({1, 1, 2, 3}), t({1, 1, 2, 3}), t({1, 1, 2, 3}), {}, {.dropout = 1.0});
              }),
              HasSubstr("attend: dropout must lie in [0, 1); got 1"));
  EXPECT_THAT(refusal([&] {
                attend(t({1, 1, 2, 3}), t({1, 1, 2, 3}).to(at::kDouble), t({1, 1, 2, 3}));
              }),
              HasSubstr("attend: q, k and v must share one dtype; got Float, Double and Float"));
}

// The backward operators can be called by themselves.
TEST(Attend, BackwardRefusesGradientsOfOtherSizes) {
  const auto q = at::zeros({1, 1, 5, 3}), lse = at::zeros({1, 1, 5});
  const auto call = [&](const at::Tensor& grad_out, const at::Tensor& out, const at::Tensor& of_lse) {
    return refusal([&] { call_attend_backward(grad_out, {}, q, q, q, {}, out, of_lse, {}); });
  };
  EXPECT_THAT(call(at::zeros({1, 1, 1, 1}), q, lse),
              HasSubstr("attend_backward: grad_out must be [1, 1, 5, 3]; got [1, 1, 1, 1]"));
  EXPECT_THAT(call(q, at::zeros({1, 1, 5, 2}), lse), HasSubstr("attend_backward: out must be [1, 1, 5, 3]"));
  EXPECT_THAT(call(q, q, at::zeros({1, 1, 4})), HasSubstr("attend_backward: lse must be [1, 1, 5]; got [1, 1, 4]"));
  EXPECT_THAT(call(q.to(at::kDouble), q, lse), HasSubstr("attend_backward: grad_out must be Float; got Double"));
  EXPECT_THAT(refusal([&] { attend(q, q, q, {}, {.scale = NAN}); }),
              HasSubstr("attend: scale must be finite; got nan"));
}

TEST(Attend, RefusesASecondDerivative) {
  auto [q, k, v] = inputs(1, 1, 1, 2, 3, 2, 2);
  q.requires_grad_();
  EXPECT_THAT(refusal([&, q = q, k = k, v = v] {
                torch::autograd::grad({attend(q, k, v).out.sum()}, {q}, {}, std::nullopt, true);
              }),
              HasSubstr("double backward of attend is not supported"));
}

}  // namespace
}  // namespace perceive::ops
