// Projections along the length against the plain formula, and their gradients.
#include "perceive/nn/length_projection.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <limits>

#include "tests/refusal.h"

namespace perceive::nn {
namespace {

struct Case {
  int64_t batch, rows, channels, heads, width, projected;
  bool convolution, one, bias;
};

at::Tensor normal(at::IntArrayRef sizes) {
  return at::randn(sizes, at::kDouble).requires_grad_();
}

struct Inputs {
  at::Tensor x, weight;
  std::vector<LengthProjection> by;
  std::vector<at::Tensor> all() const {
    std::vector<at::Tensor> tensors{x, weight};
    for (const auto& each : by) {
      tensors.push_back(each.weight);
      if (each.bias.defined()) tensors.push_back(each.bias);
    }
    return tensors;
  }
};

Inputs make(const Case& c) {
  at::manual_seed(1);
  Inputs inputs{normal({c.batch, c.rows, c.channels}), normal({c.heads * c.width, c.channels}), {}};
  for (int64_t h = 0; h < (c.one ? 1 : c.heads); ++h) {
    LengthProjection each;
    each.weight = c.convolution ? normal({c.width, c.width, c.rows / c.projected}) : normal({c.projected, c.rows});
    if (c.bias) each.bias = normal({c.convolution ? c.width : each.weight.size(0)});
    inputs.by.push_back(each);
  }
  return inputs;
}

// Heads of the whole length, one by one.
at::Tensor formula(const Inputs& inputs, int64_t heads) {
  const auto of_head = inputs.weight.chunk(heads);
  std::vector<at::Tensor> result;
  for (int64_t h = 0; h < heads; ++h) {
    const auto& by = inputs.by.size() == 1 ? inputs.by.front() : inputs.by[static_cast<size_t>(h)];
    const auto rows = at::matmul(inputs.x, of_head[static_cast<size_t>(h)].t()).transpose(1, 2);  // [B, D, n]
    result.push_back(by.weight.dim() == 3 ? at::conv1d(rows, by.weight, by.bias, by.weight.size(2)).transpose(1, 2)
                                          : at::linear(rows, by.weight, by.bias).transpose(1, 2));
  }
  return at::stack(result, 1);
}

class ProjectHeads : public testing::TestWithParam<Case> {};

TEST_P(ProjectHeads, IsTheFormulaWithItsGradients) {
  const auto c = GetParam();
  const auto inputs = make(c);
  const auto expected = formula(inputs, c.heads);
  const auto actual = project_heads(inputs.x, inputs.weight, c.heads, inputs.by);
  ASSERT_EQ(actual.sizes(), expected.sizes());
  EXPECT_TRUE(at::allclose(actual, expected, 1e-10, 1e-10));
  const auto cotangent = at::randn_like(expected);
  const auto wanted = torch::autograd::grad({expected}, inputs.all(), {cotangent});
  const auto found = torch::autograd::grad({actual}, inputs.all(), {cotangent});
  for (size_t i = 0; i < wanted.size(); ++i) EXPECT_TRUE(at::allclose(found[i], wanted[i], 1e-9, 1e-9)) << i;
}

// Both orders of each kind: few rows and many, narrow heads and wide ones.
INSTANTIATE_TEST_SUITE_P(
    , ProjectHeads,
    testing::Values(Case{2, 13, 8, 2, 4, 4, false, true, true}, Case{3, 7, 5, 3, 1, 7, false, true, false},
                    Case{2, 13, 8, 2, 4, 2, false, false, true}, Case{2, 31, 16, 4, 4, 29, false, false, true},
                    Case{1, 1, 1, 1, 1, 1, false, false, true}, Case{2, 5000, 64, 4, 16, 31, false, false, true},
                    Case{2, 13, 8, 2, 4, 4, true, true, true}, Case{2, 13, 8, 2, 4, 6, true, false, true},
                    Case{1, 17, 16, 2, 3, 5, true, false, false}, Case{1, 4099, 200, 4, 8, 4, true, false, true},
                    Case{3, 4099, 64, 4, 32, 4, true, true, true}));

// 700 rows of 2 samples and 512 outputs are three tiles, whose windows overlap.
TEST(OverlappingWindows, AreTheFormulaInManyTiles) {
  constexpr int64_t kHeads = 8, kRows = 700, kKernel = 5, kStride = 2;
  at::manual_seed(2);
  const auto x = normal({2, kRows, 6}), weight = normal({kHeads * 64, 6}), kernel = normal({64, 64, kKernel});
  const auto mask = at::rand({2, kRows}).gt(0.7);
  const auto heads = at::linear(x, weight).unflatten(2, {kHeads, 64}).transpose(1, 2);  // [B, H, n, D]
  const auto windows = heads.unfold(2, kKernel, kStride);                               // [B, H, k, D, kernel]
  const auto counts = mask.unfold(1, kKernel, kStride).unsqueeze(1).unsqueeze(3);
  const auto expect_same = [](const at::Tensor& actual, const at::Tensor& expected,
                              const std::vector<at::Tensor>& leaves) {
    ASSERT_EQ(actual.sizes(), expected.sizes());
    EXPECT_TRUE(actual.allclose(expected, 1e-10, 1e-10));
    const auto cotangent = at::randn_like(actual);
    const auto found = torch::autograd::grad({actual}, leaves, {cotangent});
    const auto wanted = torch::autograd::grad({expected}, leaves, {cotangent}, true);
    for (size_t i = 0; i < wanted.size(); ++i) EXPECT_TRUE(found[i].allclose(wanted[i], 1e-9, 1e-9)) << i;
  };
  expect_same(project_heads(x, weight, kHeads, {{kernel, {}, kStride}}),
              at::matmul(windows.flatten(3), kernel.flatten(1).t()), {x, weight, kernel});
  const auto most = windows.masked_fill(counts.logical_not(), -std::numeric_limits<double>::infinity())
                        .amax(-1)
                        .masked_fill(counts.any(-1).logical_not(), 0);
  expect_same(max_heads(x, weight, kHeads, mask, {kKernel, kStride}), most, {x, weight});
}

TEST(ProjectLength, MultipliesEachSample) {
  const auto weight = normal({3, 7}), x = normal({4, 7, 5});
  EXPECT_TRUE(at::allclose(project_length(weight, x), at::matmul(weight, x)));
  const auto apart = at::randn({4, 5, 7}, at::kDouble).transpose(1, 2);
  EXPECT_TRUE(at::allclose(project_length(weight, apart), at::matmul(weight, apart)));
}

TEST(ProjectLength, RefusesWhatDoesNotFit) {
  const auto inputs = make({2, 13, 8, 2, 4, 4, false, true, true});
  const auto call = [&](const at::Tensor& x, const at::Tensor& weight, int64_t heads) {
    return refusal([&] { project_heads(x, weight, heads, inputs.by); });
  };
  EXPECT_THAT(call(inputs.x.narrow(1, 0, 12), inputs.weight, 2), testing::HasSubstr("a projection of 13 rows"));
  EXPECT_THAT(call(inputs.x, inputs.weight, 3), testing::HasSubstr("weight [3·D, C]"));
  EXPECT_THAT(call(inputs.x[0], inputs.weight, 2), testing::HasSubstr("x [B, n, C]"));
  EXPECT_THAT(refusal([&] {
                project_heads(inputs.x, inputs.weight, 2, {inputs.by[0], inputs.by[0], inputs.by[0]});
              }),
              testing::HasSubstr("expected 1 projection or 2; got 3"));
  EXPECT_THAT(refusal([&] { project_length(inputs.weight, inputs.x); }), testing::HasSubstr("project_length"));
}

}  // namespace
}  // namespace perceive::nn
