// Every plan of attend_source computes the same numbers, forward and backward; and the choice between them.
#include "perceive/ops/plan.h"

#include <ATen/Parallel.h>
#include <ATen/autocast_mode.h>
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
  int64_t keys = 210;
  std::vector<int64_t> grid;  // empty: no positions, or a table
  int64_t table = 0;          // features of one axis over all keys
  int64_t channels = 3;
  int64_t queries = 70, heads = 2, key_heads = 2, key_width = 5, value_width = 7;
  bool normalize = true, biases = true, mask = false, causal = false;
  double dropout = 0.0;
};

void PrintTo(const Case& c, std::ostream* out) {
  *out << c.name;
}

struct Setup32 {
  at::Tensor q;
  Source source;
  Projection projection;
  AttendOptions options;
  std::vector<at::Tensor> leaves;

  explicit Setup32(const Case& c) {
    torch::manual_seed(11);
    const auto leaf = [&](std::vector<int64_t> sizes, double scale = 1.0) {
      leaves.push_back((at::randn(sizes) * scale).requires_grad_());
      return leaves.back();
    };
    q = leaf({2, c.heads, c.queries, c.key_width});
    source = Source::of(at::randn({2, c.keys, c.channels}));
    if (c.table > 0) source.positions.axes = {at::randn({c.keys, c.table})};
    if (!c.grid.empty()) source.positions = fourier_positions({.grid = c.grid, .bands = 3});
    const int64_t width = source.width();
    projection.key_weight = leaf({c.key_heads * c.key_width, width}, 0.5);
    projection.value_weight = leaf({c.key_heads * c.value_width, width}, 0.5);
    if (c.biases) {
      projection.key_bias = leaf({c.key_heads * c.key_width});
      projection.value_bias = leaf({c.key_heads * c.value_width});
    }
    projection.normalize = c.normalize;
    if (c.normalize) {
      projection.norm_weight = leaf({width});
      projection.norm_bias = leaf({width});
    }
    projection.heads = c.key_heads;
    if (c.mask) {
      source.mask = at::rand({2, c.keys}) > 0.4;
      source.mask[1].fill_(false);
      source.values[0].masked_fill_(source.mask[0].logical_not().unsqueeze(1), NAN);
    }
    options = {.causal = c.causal, .dropout = c.dropout, .seed = 5};
  }

  // The same in double, where every plan is the formula.
  Attended in_double() const {
    auto wide = projection;
    for (auto* t :
         {&wide.key_weight, &wide.key_bias, &wide.value_weight, &wide.value_bias, &wide.norm_weight, &wide.norm_bias}) {
      if (t->defined()) *t = t->to(at::kDouble);
    }
    auto positions = source.positions;
    for (auto& axis : positions.axes) axis = axis.to(at::kDouble);
    auto plain = options;
    plain.plan = SourcePlan::separate;
    return attend_source(q.to(at::kDouble), Source::of(source.values.to(at::kDouble), positions, source.mask), wide,
                         plain);
  }

  static at::Tensor loss(const Attended& attended) {
    const auto pattern =
        at::linspace(-1.0, 1.0, attended.out.numel(), attended.out.options()).reshape(attended.out.sizes());
    return (attended.out * pattern).sum() + attended.lse.masked_fill(attended.lse == -INFINITY, 0.0).sin().sum();
  }
};

const std::vector<Case> kCases = {
    {.name = "values"},
    {.name = "plain", .normalize = false},
    {.name = "wide", .channels = 37, .key_width = 16, .value_width = 32},
    {.name = "one axis", .grid = {210}},
    {.name = "two axes", .grid = {14, 15}},
    {.name = "three axes", .grid = {5, 6, 7}},
    {.name = "long grid", .keys = 1200, .grid = {40, 30}, .channels = 1},
    {.name = "six channels", .grid = {14, 15}, .channels = 6},
    {.name = "positions only", .grid = {14, 15}, .channels = 0},
    {.name = "grid not normalised", .grid = {14, 15}, .normalize = false},
    {.name = "no biases", .grid = {14, 15}, .biases = false},
    {.name = "table", .table = 4},
    {.name = "masked", .grid = {14, 15}, .mask = true},
    {.name = "masked values", .mask = true},
    {.name = "causal", .grid = {14, 15}, .causal = true},
    {.name = "one key head", .grid = {14, 15}, .heads = 3, .key_heads = 1},
    {.name = "dropout", .grid = {14, 15}, .dropout = 0.3},
    {.name = "one query", .grid = {14, 15}, .queries = 1, .heads = 1, .key_heads = 1},
    {.name = "one key", .keys = 1, .queries = 3},
    // Enough queries for float32 in parts.
    {.name = "many queries", .keys = 500, .channels = 70, .queries = 67, .key_width = 40, .value_width = 24},
    {.name = "many masked", .grid = {14, 15}, .queries = 67, .key_width = 32, .value_width = 32, .mask = true},
    {.name = "many causal", .grid = {14, 15}, .queries = 67, .key_width = 32, .value_width = 32, .causal = true},
    {.name = "many dropped", .queries = 67, .key_width = 24, .value_width = 70, .dropout = 0.3},
};

class Plans : public ::testing::TestWithParam<std::tuple<Case, SourcePlan>> {};

TEST_P(Plans, AgreeWithTheFormula) {
  const auto& [c, plan] = GetParam();
  Setup32 setup(c);
  setup.options.plan = plan;
  if (plan == SourcePlan::separable && c.grid.empty() && c.table == 0) {
    EXPECT_THAT(refusal([&] { attend_source(setup.q, setup.source, setup.projection, setup.options); }),
                HasSubstr("the plan separable cannot serve this call: positions on a grid of one to three axes are "
                          "needed, the source has 0"));
    return;
  }
  const auto expected = setup.in_double();
  if (c.dropout == 0.0 && !c.mask) {
    EXPECT_LT(difference(expected.out, formula(setup.q, setup.source, setup.projection, setup.options).out), 1e-10);
  }
  const auto want = torch::autograd::grad({Setup32::loss(expected)}, setup.leaves);
  for (const int64_t tile : {0, 1, 13, 64}) {
    setup.options.key_tile = tile;
    const auto result = attend_source(setup.q, setup.source, setup.projection, setup.options);
    EXPECT_LT(difference(result.out, expected.out), 3e-5 * (1 + expected.out.abs().max().item<double>()));
    EXPECT_LT(difference(result.lse, expected.lse), 3e-5);
    const auto have = torch::autograd::grad({Setup32::loss(result)}, setup.leaves);
    for (size_t i = 0; i < have.size(); ++i) {
      EXPECT_LT(difference(have[i], want[i]), 1e-4 * (1 + want[i].abs().max().item<double>())) << "leaf " << i;
    }
  }
}

TEST_P(Plans, GiveTheGradientOfTheValues) {
  const auto& [c, plan] = GetParam();
  if (c.channels == 0) return;
  Setup32 setup(c);
  setup.source.values = at::nan_to_num(setup.source.values).requires_grad_();
  setup.options.plan = plan;
  if (!objection(plan, {.axes = std::vector<SourceWork::Axis>(setup.source.positions.axes.size(), {5, 5})}).empty()) {
    return;
  }
  const auto leaf = setup.source.values;
  const auto expected = setup.in_double();
  const auto want = torch::autograd::grad({Setup32::loss(expected)}, {leaf})[0];
  const auto result = attend_source(setup.q, setup.source, setup.projection, setup.options);
  const auto have = torch::autograd::grad({Setup32::loss(result)}, {leaf})[0];
  EXPECT_LT(difference(have, want), 1e-4 * (1 + want.abs().max().item<double>()));
}

INSTANTIATE_TEST_SUITE_P(Sources, Plans,
                         ::testing::Combine(::testing::ValuesIn(kCases),
                                            ::testing::Values(SourcePlan::separate, SourcePlan::absorb_keys,
                                                              SourcePlan::absorb_values, SourcePlan::absorb,
                                                              SourcePlan::separable)),
                         [](const auto& info) {
                           std::string name =
                               std::get<0>(info.param).name + "_" + std::string(name_of(std::get<1>(info.param)));
                           std::replace(name.begin(), name.end(), ' ', '_');
                           return name;
                         });

TEST(Plan, HasTheSameBitsForAnyNumberOfThreads) {
  const int threads = at::get_num_threads();
  for (const auto plan : {SourcePlan::separate, SourcePlan::absorb, SourcePlan::separable}) {
    std::vector<std::vector<at::Tensor>> results;
    for (const int count : {1, 2, 3}) {
      at::set_num_threads(count);
      Setup32 setup({.name = "", .keys = 9000, .grid = {90, 100}, .queries = 49, .key_width = 32, .value_width = 32});
      setup.options.plan = plan;
      const auto result = attend_source(setup.q, setup.source, setup.projection, setup.options);
      results.push_back(torch::autograd::grad({Setup32::loss(result)}, setup.leaves));
      results.back().push_back(result.out.detach());
    }
    at::set_num_threads(threads);
    for (size_t i = 0; i < results[0].size(); ++i) {
      EXPECT_TRUE(at::equal(results[0][i], results[1][i])) << name_of(plan) << " " << i;
      EXPECT_TRUE(at::equal(results[0][i], results[2][i])) << name_of(plan) << " " << i;
    }
  }
}

// A running sum that each key's small share is added to would drift.
TEST(Plan, KeepsItsPrecisionOverManyKeys) {
  torch::manual_seed(2);
  const int64_t keys = 1 << 19;
  auto values = at::rand({1, keys, 2}) + 1.0;
  const auto q = at::randn({1, 1, 5, 4});
  const Projection projection{.key_weight = at::randn({4, 2}), .value_weight = at::rand({4, 2}) + 0.5};
  const Projection wide{.key_weight = projection.key_weight.to(at::kDouble),
                        .value_weight = projection.value_weight.to(at::kDouble)};
  const auto expected = attend_source(q.to(at::kDouble), Source::of(values.to(at::kDouble)), wide);
  for (const auto plan : {SourcePlan::separate, SourcePlan::absorb}) {
    const auto result = attend_source(q, Source::of(values), projection, {.plan = plan});
    EXPECT_LT(difference(result.out, expected.out), 5e-6 * expected.out.abs().max().item<double>()) << name_of(plan);
  }
}

TEST(Plan, KeepsItsPrecisionUnderAutocast) {
  for (const auto plan : {SourcePlan::separate, SourcePlan::absorb, SourcePlan::separable}) {
    Setup32 setup({.name = "", .grid = {14, 15}});
    setup.options.plan = plan;
    const auto result = attend_source(setup.q, setup.source, setup.projection, setup.options);
    const auto want = torch::autograd::grad({Setup32::loss(result)}, setup.leaves, {}, true);
    const auto loss = Setup32::loss(result);
    at::autocast::set_autocast_enabled(at::kCPU, true);
    const auto have = torch::autograd::grad({loss}, setup.leaves);
    at::autocast::set_autocast_enabled(at::kCPU, false);
    for (size_t i = 0; i < have.size(); ++i) EXPECT_TRUE(at::equal(have[i], want[i])) << name_of(plan) << " " << i;
  }
}

TEST(Plan, FollowsTheSizes) {
  SourceWork work{
      .queries = 512, .heads = 1, .key_heads = 1, .keys = 65536, .channels = 256, .key_width = 64, .value_width = 64};
  EXPECT_EQ(choose_plan(work), SourcePlan::separate);
  work.queries = 32;
  EXPECT_EQ(choose_plan(work), SourcePlan::absorb);
  // Wide keys and narrow values are absorbed one by one.
  work = {
      .queries = 256, .heads = 1, .key_heads = 1, .keys = 65536, .channels = 128, .key_width = 512, .value_width = 16};
  EXPECT_EQ(choose_plan(work), SourcePlan::absorb_keys);
  // An image with Fourier features.
  work = {.queries = 512,
          .heads = 1,
          .key_heads = 1,
          .keys = 50176,
          .channels = 3,
          .key_width = 261,
          .value_width = 261,
          .axes = {{224, 129}, {224, 129}}};
  EXPECT_EQ(choose_plan(work), SourcePlan::separable);
  work.backward = true;
  EXPECT_EQ(choose_plan(work), SourcePlan::separable);
  work.input_grad = true;
  EXPECT_NE(choose_plan(work), SourcePlan::separable);
}

TEST(Plan, IsReadByName) {
  for (const auto plan : {SourcePlan::automatic, SourcePlan::separate, SourcePlan::absorb_keys,
                          SourcePlan::absorb_values, SourcePlan::absorb, SourcePlan::separable}) {
    EXPECT_EQ(plan_of(name_of(plan)), plan);
  }
  EXPECT_THAT(refusal([] { plan_of("fast"); }),
              HasSubstr("plan must be one of automatic, separate, absorb_keys, absorb_values, absorb, separable; got "
                        "'fast'"));
}

TEST(Plan, RefusesTablesThatAreTooLong) {
  SourceWork work{.queries = 1,
                  .heads = 1,
                  .key_heads = 1,
                  .keys = 1 << 20,
                  .channels = 1,
                  .key_width = 8,
                  .value_width = 8,
                  .axes = {{1 << 20, 4}}};
  EXPECT_THAT(objection(SourcePlan::separable, work), HasSubstr("the axes of the grid have 1048576 steps together"));
  EXPECT_NE(choose_plan(work), SourcePlan::separable);
}

}  // namespace
}  // namespace perceive::ops
