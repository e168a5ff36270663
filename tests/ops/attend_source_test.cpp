// attend_source on described inputs.
#include <ATen/Parallel.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/autograd.h>

#include "perceive/ops/attend.h"
#include "perceive/ops/fourier.h"
#include "tests/ops/reference.h"
#include "tests/refusal.h"

namespace perceive::ops {
namespace {

using testing::difference;
using testing::formula;
using ::testing::HasSubstr;

struct Case {
  std::string name;
  std::vector<int64_t> grid;  // empty: no positions
  int64_t channels = 3;
  bool table = false;  // one learned axis over all keys
  bool normalize = true, affine = true, biases = true, mask = false, causal = false;
  int64_t heads = 2, key_heads = 2;
};

void PrintTo(const Case& c, std::ostream* out) {
  *out << c.name;
}

constexpr int64_t kKeys = 30;

struct Described {
  at::Tensor q;
  Source source;
  Projection projection;
  AttendOptions options;
  std::vector<at::Tensor> leaves;

  explicit Described(const Case& c) {
    torch::manual_seed(7);
    const auto leaf = [&](std::vector<int64_t> sizes) {
      leaves.push_back(at::randn(sizes, at::kDouble).requires_grad_());
      return leaves.back();
    };
    q = leaf({2, c.heads, 5, 4});
    source = Source::of(leaf({2, kKeys, c.channels}));
    if (c.table) {
      source.positions.axes = {leaf({kKeys, 3})};
    } else if (!c.grid.empty()) {
      source.positions = fourier_positions({.grid = c.grid, .bands = 2});
      for (auto& axis : source.positions.axes) {
        axis = axis.to(at::kDouble).requires_grad_();
        leaves.push_back(axis);
      }
    }
    const int64_t width = source.width();
    projection.key_weight = leaf({c.key_heads * 4, width});
    projection.value_weight = leaf({c.key_heads * 3, width});
    if (c.biases) {
      projection.key_bias = leaf({c.key_heads * 4});
      projection.value_bias = leaf({c.key_heads * 3});
    }
    projection.normalize = c.normalize;
    if (c.normalize && c.affine) {
      projection.norm_weight = leaf({width});
      projection.norm_bias = leaf({width});
    }
    projection.heads = c.key_heads;
    if (c.mask) {
      source.mask = at::rand({2, kKeys}) > 0.4;
      source.mask[1].fill_(false);
    }
    options = {.causal = c.causal, .query_tile = 2, .key_tile = 7};
  }

  at::Tensor loss(const Attended& attended) const {
    const auto pattern = at::linspace(-1.0, 1.0, attended.out.numel(), at::kDouble).reshape(attended.out.sizes());
    return (attended.out * pattern).sum() + attended.lse.masked_fill(attended.lse == -INFINITY, 0.0).sin().sum();
  }
};

class AttendSourceCases : public ::testing::TestWithParam<Case> {};

TEST_P(AttendSourceCases, AgreesWithTheFormula) {
  Described setup(GetParam());
  const auto expected = formula(setup.q, setup.source, setup.projection, setup.options);
  for (const int64_t tile : {0, 1, 7, 100}) {
    setup.options.key_tile = tile;
    const auto result = attend_source(setup.q, setup.source, setup.projection, setup.options);
    EXPECT_LT(difference(result.out, expected.out), 1e-11);
    EXPECT_LT(difference(result.lse, expected.lse), 1e-11);
  }
}

TEST_P(AttendSourceCases, HasTheGradientOfTheFormula) {
  Described setup(GetParam());
  const auto expected = torch::autograd::grad(
      {setup.loss(formula(setup.q, setup.source, setup.projection, setup.options))}, setup.leaves);
  const auto result = attend_source(setup.q, setup.source, setup.projection, setup.options);
  ASSERT_TRUE(result.out.requires_grad());
  const auto grads = torch::autograd::grad({setup.loss(result)}, setup.leaves);
  for (size_t i = 0; i < grads.size(); ++i) EXPECT_LT(difference(grads[i], expected[i]), 1e-9) << "leaf " << i;
}

TEST_P(AttendSourceCases, TakesItsValuesInChunks) {
  Described setup(GetParam());
  const auto values = setup.source.values.detach();
  auto chunked = Source::in_chunks([&](int64_t first, int64_t count) { return values.narrow(1, first, count); }, 2,
                                   kKeys, values.size(2), setup.source.positions, setup.source.mask);
  chunked.chunk = 11;
  const auto whole = attend_source(setup.q, setup.source, setup.projection, setup.options);
  const auto result = attend_source(setup.q, chunked, setup.projection, setup.options);
  EXPECT_LT(difference(result.out, whole.out), 1e-11);
  EXPECT_LT(difference(result.lse, whole.lse), 1e-11);
  auto leaves = setup.leaves;
  leaves.erase(leaves.begin() + 1);  // the values
  const auto expected = torch::autograd::grad({setup.loss(whole)}, leaves);
  const auto grads = torch::autograd::grad({setup.loss(result)}, leaves);
  for (size_t i = 0; i < grads.size(); ++i) EXPECT_LT(difference(grads[i], expected[i]), 1e-9) << "leaf " << i;
}

TEST_P(AttendSourceCases, ShowsItsWeights) {
  Described setup(GetParam());
  const auto result = attend_source(setup.q, setup.source, setup.projection, setup.options);
  const auto weights = attention_weights(setup.q, setup.source, setup.projection, result.lse, {}, setup.options);
  const auto [k, v] = testing::project(setup.source, setup.projection);
  EXPECT_LT(difference(weights.matmul(v), result.out), 1e-11);
}

INSTANTIATE_TEST_SUITE_P(
    Sources, AttendSourceCases,
    ::testing::Values(Case{"values only", {}}, Case{.name = "plain", .normalize = false},
                      Case{.name = "no biases", .grid = {5, 6}, .biases = false},
                      Case{.name = "one axis", .grid = {30}}, Case{.name = "two axes", .grid = {5, 6}},
                      Case{.name = "three axes", .grid = {2, 5, 3}, .mask = true},
                      Case{.name = "an axis of one", .grid = {1, 30}, .channels = 1},
                      Case{.name = "positions only", .grid = {5, 6}, .channels = 0},
                      Case{.name = "grid, not normalised", .grid = {5, 6}, .normalize = false},
                      Case{.name = "table", .table = true}, Case{.name = "table, masked", .table = true, .mask = true},
                      Case{.name = "no affine", .grid = {6, 5}, .affine = false},
                      Case{.name = "masked", .grid = {5, 6}, .mask = true},
                      Case{.name = "causal", .grid = {5, 6}, .mask = true, .causal = true},
                      Case{.name = "one key head", .grid = {5, 6}, .heads = 3, .key_heads = 1}),
    [](const auto& info) {
      std::string name = info.param.name;
      std::replace_if(
          name.begin(), name.end(), [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); }, '_');
      return name;
    });

// A grid large enough that its axes are projected ahead.
TEST(AttendSource, AgreesOnALargeGrid) {
  torch::manual_seed(3);
  auto source =
      Source::of(at::randn({2, 40 * 30, 1}).requires_grad_(), fourier_positions({.grid = {40, 30}, .bands = 6}));
  auto& axes = source.positions.axes;
  for (auto& axis : axes) axis.requires_grad_();
  Projection projection{.key_weight = at::randn({16, source.width()}).requires_grad_(),
                        .value_weight = at::randn({16, source.width()}).requires_grad_(),
                        .normalize = true};
  const auto q = at::randn({2, 1, 9, 16}).requires_grad_();
  const auto expected = formula(q, source, projection), result = attend_source(q, source, projection);
  EXPECT_LT(difference(result.out, expected.out), 2e-5);
  const std::vector<at::Tensor> leaves = {q,       source.values, projection.key_weight, projection.value_weight,
                                          axes[0], axes[1]};
  const auto want = torch::autograd::grad({expected.out.sin().sum()}, leaves);
  const auto have = torch::autograd::grad({result.out.sin().sum()}, leaves);
  for (size_t i = 0; i < leaves.size(); ++i) {
    EXPECT_LT(difference(have[i], want[i]), 2e-4 * (1 + want[i].abs().max().item<double>())) << i;
  }
}

TEST(AttendSource, LosesNothingToALargeCommonMean) {
  torch::manual_seed(5);
  auto source = Source::of(at::randn({1, 64, 8}) + 3e3, fourier_positions({.grid = {8, 8}, .bands = 2}));
  Projection projection{.key_weight = at::randn({4, source.width()}) * 0.1,
                        .value_weight = at::randn({4, source.width()}) * 0.1,
                        .normalize = true};
  const auto q = at::randn({1, 1, 3, 4});
  EXPECT_LT(difference(attend_source(q, source, projection).out, formula(q, source, projection).out), 1e-4);
}

TEST(AttendSource, KeepsNaNBehindAMaskOut) {
  auto values = at::randn({1, 20, 3}, at::kDouble);
  auto source = Source::of(values, {}, at::ones({1, 20}, at::kBool));
  source.mask[0][4] = false;
  Projection projection{.key_weight = at::randn({4, 3}, at::kDouble).requires_grad_(),
                        .value_weight = at::randn({4, 3}, at::kDouble).requires_grad_(),
                        .normalize = true};
  const auto q = at::randn({1, 1, 2, 4}, at::kDouble);
  const auto clean = formula(q, source, projection);
  values[0][4].fill_(NAN);
  const auto result = attend_source(q, source, projection);
  EXPECT_LT(difference(result.out, clean.out), 1e-12);
  for (const auto& grad : torch::autograd::grad({result.out.sum()}, {projection.key_weight, projection.value_weight})) {
    EXPECT_TRUE(at::isfinite(grad).all().item<bool>());
  }
}

TEST(AttendSource, HasTheSameBitsForAnyNumberOfThreads) {
  auto source = Source::of(at::randn({3, 4000, 5}).requires_grad_(), fourier_positions({.grid = {50, 80}, .bands = 3}));
  Projection projection{.key_weight = at::randn({16, source.width()}).requires_grad_(),
                        .value_weight = at::randn({16, source.width()}).requires_grad_(),
                        .normalize = true};
  const auto q = at::randn({3, 1, 9, 16}).requires_grad_();
  const int threads = at::get_num_threads();
  std::vector<std::vector<at::Tensor>> results;
  for (const int count : {1, 2, 3}) {
    at::set_num_threads(count);
    const auto result = attend_source(q, source, projection);
    auto all = torch::autograd::grad({result.out.sin().sum()},
                                     {q, source.values, projection.key_weight, projection.value_weight});
    all.push_back(result.out.detach());
    results.push_back(all);
  }
  at::set_num_threads(threads);
  for (size_t i = 0; i < results[0].size(); ++i) {
    EXPECT_TRUE(at::equal(results[0][i], results[1][i])) << i;
    EXPECT_TRUE(at::equal(results[0][i], results[2][i])) << i;
  }
}

TEST(AttendSource, TakesHalfPrecisionQueriesAndValues) {
  const auto values = at::randn({1, 50, 6});
  const Projection projection{.key_weight = at::randn({8, 6}), .value_weight = at::randn({8, 6}), .normalize = true};
  const auto q = at::randn({1, 2, 3, 4});
  Projection two_heads = projection;
  two_heads.heads = 2;
  const auto expected = formula(q, Source::of(values), two_heads);
  const auto result = attend_source(q.to(at::kBFloat16), Source::of(values.to(at::kHalf)), two_heads);
  EXPECT_EQ(result.out.scalar_type(), at::kBFloat16);
  EXPECT_LT(difference(result.out, expected.out), 5e-2);
}

TEST(AttendSource, RefusesWhatDoesNotFit) {
  const auto q = at::zeros({1, 1, 2, 4});
  const auto source = Source::of(at::zeros({1, 12, 3}));
  const Projection good{.key_weight = at::zeros({4, 3}), .value_weight = at::zeros({4, 3})};
  auto bad = good;
  bad.key_weight = at::zeros({4, 5});
  EXPECT_THAT(refusal([&] { attend_source(q, source, bad); }),
              HasSubstr("a projection weight must be [heads·D, 3], its columns the channels and position features of "
                        "the source; got [4, 5]"));
  EXPECT_THAT(refusal([&] {
                attend_source(q, Source::of(at::zeros({2, 12, 3})), good);
              }),
              HasSubstr("q and values must share the batch"));
  EXPECT_THAT(refusal([&] {
                attend_source(q, Source::of(at::zeros({1, 12, 3}), fourier_positions({.grid = {5, 5}, .bands = 1})),
                              {.key_weight = at::zeros({4, 9}), .value_weight = at::zeros({4, 9})});
              }),
              HasSubstr("the positions describe 25 keys, the source has 12"));
  EXPECT_THAT(refusal([&] { Source::of(at::zeros({12, 3})); }), HasSubstr("values must be [B, M, C]; got [12, 3]"));
  EXPECT_THAT(refusal([&] {
                attend_source(q, Source::of(at::zeros({1, 12, 3}), {}, at::ones({1, 11}, at::kBool)), good);
              }),
              HasSubstr("mask must be [1, 12]; got [1, 11]"));
  EXPECT_THAT(
      refusal([&] {
        attend_source(q, Source::in_chunks([](int64_t, int64_t) { return at::zeros({1, 2, 3}); }, 1, 12, 3), good);
      }),
      HasSubstr("the reader was asked for the keys 0 to 12, [1, 12, 3], and gave [1, 2, 3]"));
}

}  // namespace
}  // namespace perceive::ops
