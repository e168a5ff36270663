// Linear layers against libtorch's in double.
#include "perceive/ops/linear.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/autocast_mode.h>
#include <gtest/gtest.h>
#include <torch/autograd.h>

#include "tests/ops/reference.h"

namespace perceive::ops {
namespace {

using testing::difference;

struct Layer {
  at::Tensor x, weight, bias;

  Layer(at::IntArrayRef sizes, int64_t out, bool with_bias) {
    torch::manual_seed(sizes.size() + out);
    x = at::randn(sizes).requires_grad_();
    weight = at::randn({out, sizes.back()}).requires_grad_();
    if (with_bias) bias = at::randn({out}).requires_grad_();
  }
  std::vector<at::Tensor> leaves() const {
    std::vector<at::Tensor> all{x, weight};
    if (bias.defined()) all.push_back(bias);
    return all;
  }
};

// y, and the gradients of all leaves.
std::vector<at::Tensor> pass(const Layer& layer, at::ScalarType type) {
  std::vector<at::Tensor> leaves;
  for (const auto& t : layer.leaves()) leaves.push_back(t.detach().to(type).requires_grad_());
  const auto y = ops::linear(leaves[0], leaves[1], leaves.size() > 2 ? leaves[2] : at::Tensor());
  const auto pattern = at::linspace(0.5, 1.0, y.numel(), y.options()).view(y.sizes());
  auto all = torch::autograd::grad({(y * pattern).sum()}, leaves);
  all.push_back(y.detach());
  return all;
}

TEST(Linear, AgreesWithDouble) {
  // Around whole squares of 32, layers and panels of 384, and too small for the kernels.
  const std::vector<std::pair<std::vector<int64_t>, int64_t>> sizes{
      {{70, 90}, 65},  {{2, 37, 130}, 71}, {{128, 800}, 400}, {{33, 384}, 770},
      {{500, 40}, 32}, {{3, 5}, 4},        {{0, 64}, 64},     {{2, 3, 400, 33}, 47}};
  for (const auto& [in, out] : sizes) {
    for (const bool with_bias : {false, true}) {
      SCOPED_TRACE(::testing::Message() << at::IntArrayRef(in) << " to " << out << ", bias " << with_bias);
      const Layer layer(in, out, with_bias);
      const auto got = pass(layer, at::kFloat), expected = pass(layer, at::kDouble);
      for (size_t i = 0; i < got.size(); ++i) {
        ASSERT_EQ(got[i].sizes(), expected[i].sizes());
        if (got[i].numel() == 0) continue;
        EXPECT_LT(difference(got[i], expected[i]), 2e-6 * (1 + expected[i].abs().max().item<double>())) << i;
      }
    }
  }
}

TEST(Linear, TakesAnyStrides) {
  const auto wide = at::randn({3, 200, 128}), weight = at::randn({130, 96});
  for (const auto& x : {wide.transpose(0, 1).slice(2, 0, 64), wide.slice(2, 0, 128, 2),
                        wide.select(1, 3).expand({50, 3, 128}).slice(2, 7, 71)}) {
    const auto w = weight.t().slice(1, 0, 128, 2).slice(0, 0, 64).t().slice(1, 0, 64);
    const auto expected = at::linear(x.to(at::kDouble), w.to(at::kDouble));
    EXPECT_LT(difference(ops::linear(x, w), expected), 1e-5 * (1 + expected.abs().max().item<double>()));
  }
}

TEST(Linear, HasTheSameBitsForAnyNumberOfThreads) {
  const int threads = at::get_num_threads();
  const Layer layer({257, 300}, 510, true);
  std::vector<std::vector<at::Tensor>> results;
  for (const int count : {1, 2, 3}) {
    at::set_num_threads(count);
    results.push_back(pass(layer, at::kFloat));
  }
  at::set_num_threads(threads);
  for (const size_t i : {0, 1, 3}) {  // libtorch adds the gradient of the bias up
    EXPECT_TRUE(at::equal(results[0][i], results[1][i])) << i;
    EXPECT_TRUE(at::equal(results[0][i], results[2][i])) << i;
  }
}

TEST(Linear, KeepsInfinitiesAndNaN) {
  auto x = at::randn({100, 80});
  const auto weight = at::ones({90, 80});
  x[3][7] = INFINITY;
  x[50][1] = NAN;
  const auto y = ops::linear(x, weight);
  EXPECT_TRUE(y[3].eq(INFINITY).all().item<bool>());
  EXPECT_TRUE(y[50].isnan().all().item<bool>());
  EXPECT_TRUE(at::isfinite(y[4]).all().item<bool>());
}

TEST(Linear, HasASecondDerivative) {
  const Layer layer({64, 70}, 80, true);
  const auto y = ops::linear(layer.x, layer.weight, layer.bias);
  const auto first = torch::autograd::grad({y.square().sum()}, {layer.x}, {}, true, /*create_graph=*/true)[0];
  const auto second = torch::autograd::grad({first.sum()}, {layer.weight})[0];
  const auto x = layer.x.detach().to(at::kDouble).requires_grad_(),
             w = layer.weight.detach().to(at::kDouble).requires_grad_();
  const auto expected_first = torch::autograd::grad(
      {at::linear(x, w, layer.bias.detach().to(at::kDouble)).square().sum()}, {x}, {}, true, true)[0];
  const auto expected = torch::autograd::grad({expected_first.sum()}, {w})[0];
  EXPECT_LT(difference(second, expected), 1e-5 * (1 + expected.abs().max().item<double>()));
}

TEST(Linear, IsLibtorchsUnderAutocast) {
  const Layer layer({64, 70}, 80, false);
  at::autocast::set_autocast_enabled(at::kCPU, true);
  const auto y = ops::linear(layer.x, layer.weight);
  at::autocast::set_autocast_enabled(at::kCPU, false);
  at::autocast::clear_cache();
  EXPECT_EQ(y.scalar_type(), at::kBFloat16);
}

}  // namespace
}  // namespace perceive::ops
