// Every way to project along the length, window by window in plain formulas, with masks and gradients.
#include "perceive/nn/length_projector.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <limits>

#include "tests/refusal.h"

namespace perceive::nn {
namespace {

using Method = ProjectionMethod;
using Sharing = ProjectionSharing;

constexpr int64_t kHeads = 2, kWidth = 3, kChannels = 5;

struct Case {
  Method method;
  Sharing sharing;
  int64_t length, projected;
  std::optional<int64_t> kernel = std::nullopt, stride = std::nullopt;
};

LengthProjector make(const Case& c) {
  at::manual_seed(1);
  LengthProjector projector(LengthProjectorOptions{.length = c.length,
                                                   .projected = c.projected,
                                                   .method = c.method,
                                                   .kernel = c.kernel,
                                                   .stride = c.stride,
                                                   .sharing = c.sharing},
                            kHeads, kWidth);
  projector->to(at::kDouble);
  return projector;
}

// Of head h of keys (0) or values (1), from the module's tensors by their names.
at::Tensor projection_of(LengthProjector& projector, Sharing sharing, int64_t which, int64_t h) {
  auto tensors = projector->named_parameters();
  tensors.update(projector->named_buffers());
  const bool one = sharing == Sharing::key_value || sharing == Sharing::layer;
  return tensors[one ? "key_value" : which == 0 ? "key" : "value"][sharing == Sharing::none ? h : 0];
}

// One row of the result, of the rows of a head [n, D] that a window holds; undefined where it holds none that counts.
at::Tensor window(Method method, const at::Tensor& rows, const at::Tensor& counts, const at::Tensor& kernels) {
  if (!counts.any().item<bool>()) return {};
  const auto seen = rows.index({counts});
  if (method == Method::mean) return seen.mean(0);
  if (method == Method::max) return std::get<0>(seen.max(0));
  at::Tensor sum = at::zeros({kWidth}, rows.options());
  for (int64_t i = 0; i < rows.size(0); ++i) {
    if (counts[i].item<bool>()) sum = sum + at::matmul(kernels.select(2, i), rows[i]);
  }
  return sum;
}

struct Expected {
  at::Tensor rows, there;  // [B, 2 · H, k, D], [B, k]
};

Expected formula(LengthProjector& projector, const Case& c, const at::Tensor& x, const at::Tensor& weight,
                 const at::Tensor& mask) {
  const int64_t n = x.size(1);
  const int64_t kernel = c.kernel.value_or((c.length + c.projected - 1) / c.projected);
  const int64_t stride = c.stride.value_or(kernel);
  std::vector<at::Tensor> samples, all_there;
  for (int64_t b = 0; b < x.size(0); ++b) {
    const auto counts = mask.defined() ? mask[b] : at::ones({n}, at::kBool);
    std::vector<at::Tensor> heads;
    std::vector<int64_t> there;
    for (int64_t h = 0; h < 2 * kHeads; ++h) {
      const auto rows = at::matmul(x[b], weight.narrow(0, h * kWidth, kWidth).t());  // [n, D]
      const bool pools = c.method == Method::mean || c.method == Method::max;
      const auto by = pools ? at::Tensor() : projection_of(projector, c.sharing, h / kHeads, h % kHeads);
      there.clear();
      if (c.method == Method::learned || c.method == Method::random) {
        heads.push_back(at::matmul(by.narrow(1, 0, n), at::where(counts.unsqueeze(1), rows, at::zeros_like(rows))));
        there.assign(static_cast<size_t>(c.projected), counts.any().item<bool>());
        continue;
      }
      std::vector<at::Tensor> made;
      for (int64_t first = 0; first < n; first += stride) {
        if (first > 0 && first - stride + kernel >= n) break;  // the window before has reached the end
        const int64_t size = std::min(kernel, n - first);
        const auto row = window(c.method, rows.narrow(0, first, size), counts.narrow(0, first, size), by);
        there.push_back(row.defined());
        made.push_back(row.defined() ? row : at::zeros({kWidth}, x.options()));
      }
      heads.push_back(at::stack(made));
    }
    samples.push_back(at::stack(heads));
    all_there.push_back(at::tensor(there).to(at::kBool));
  }
  return {at::stack(samples), at::stack(all_there)};
}

class LengthProjectorCases : public testing::TestWithParam<Case> {};

TEST_P(LengthProjectorCases, AreTheFormulaWithItsGradients) {
  const auto c = GetParam();
  auto projector = make(c);
  for (const int64_t n : {c.length, c.length - 4, int64_t{1}}) {
    for (const bool masked : {false, true}) {
      SCOPED_TRACE(n * 10 + masked);
      const auto x = at::randn({3, n, kChannels}, at::kDouble).requires_grad_();
      const auto weight = at::randn({2 * kHeads * kWidth, kChannels}, at::kDouble).requires_grad_();
      auto mask = at::Tensor();
      if (masked) {
        mask = at::rand({3, n}).gt(0.5);
        mask[0] = false;
        mask[1] = true;
      }
      const auto expected = formula(projector, c, x, weight, mask);
      const auto [keys, values, there] = projector->forward(x, weight, mask);
      const auto actual = at::cat({keys, values}, 1);
      ASSERT_EQ(actual.sizes(), expected.rows.sizes());
      EXPECT_TRUE(at::allclose(actual, expected.rows, 1e-10, 1e-10));
      ASSERT_EQ(there.defined(), masked);
      if (masked) {
        EXPECT_TRUE(there.equal(expected.there));
      }
      auto leaves = projector->parameters();
      leaves.insert(leaves.end(), {x, weight});
      const auto cotangent = at::randn_like(actual);
      const auto gradients = [&](const at::Tensor& output) {
        return torch::autograd::grad({output}, leaves, {cotangent}, std::nullopt, false, true);
      };
      const auto found = gradients(actual), wanted = gradients(expected.rows);
      for (size_t i = 0; i < wanted.size(); ++i) {
        if (!wanted[i].defined()) continue;
        EXPECT_TRUE(at::allclose(found[i], wanted[i], 1e-9, 1e-9)) << i;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    , LengthProjectorCases,
    testing::Values(Case{Method::learned, Sharing::none, 13, 4}, Case{Method::learned, Sharing::heads, 13, 4},
                    Case{Method::learned, Sharing::key_value, 13, 4}, Case{Method::learned, Sharing::layer, 13, 4},
                    Case{Method::random, Sharing::none, 13, 4}, Case{Method::random, Sharing::key_value, 13, 4},
                    Case{Method::convolution, Sharing::none, 12, 4}, Case{Method::convolution, Sharing::heads, 13, 4},
                    Case{Method::convolution, Sharing::layer, 13, 4, 5, 2},
                    Case{Method::convolution, Sharing::none, 13, 4, 3, 1},
                    Case{Method::convolution, Sharing::heads, 13, 4, 2, 4}, Case{Method::mean, Sharing::layer, 13, 4},
                    Case{Method::mean, Sharing::none, 13, 4, 5, 2}, Case{Method::max, Sharing::layer, 13, 4},
                    Case{Method::max, Sharing::none, 13, 4, 5, 2}, Case{Method::max, Sharing::heads, 13, 4, 2, 4}));

// Padding behind a short input, whatever it holds, changes nothing.
TEST(LengthProjector, ReadsNothingOfPadding) {
  for (const auto method : {Method::learned, Method::random, Method::convolution, Method::mean, Method::max}) {
    auto projector = make({method, Sharing::heads, 13, 4});
    const auto weight = at::randn({2 * kHeads * kWidth, kChannels}, at::kDouble);
    auto x = at::randn({1, 13, kChannels}, at::kDouble);
    const auto alone = projector->forward(x.narrow(1, 0, 6), weight);
    x.narrow(1, 6, 7).fill_(std::numeric_limits<double>::quiet_NaN());
    const auto padded = projector->forward(x, weight, at::arange(13).lt(6).unsqueeze(0));
    const int64_t rows = alone.keys.size(2);
    EXPECT_TRUE(padded.keys.narrow(2, 0, rows).allclose(alone.keys)) << static_cast<int>(method);
    EXPECT_TRUE(padded.values.narrow(2, 0, rows).allclose(alone.values));
    EXPECT_FALSE(padded.mask.narrow(1, rows, padded.mask.size(1) - rows).any().item<bool>());
  }
}

TEST(LengthProjector, KeepsRandomMatricesOfTheVarianceOfThePaper) {
  at::manual_seed(1);
  const LengthProjector projector(
      LengthProjectorOptions{.length = 4000, .projected = 100, .method = Method::random, .sharing = Sharing::none}, 2,
      3);
  EXPECT_TRUE(projector->parameters().empty());
  const auto buffers = projector->named_buffers();
  ASSERT_EQ(buffers["key"].sizes(), at::IntArrayRef({2, 100, 4000}));
  EXPECT_NEAR(buffers["value"].var().item<double>(), 0.01, 1e-4);
}

TEST(LengthProjector, RefusesWhatDoesNotFit) {
  const auto made = [](const LengthProjectorOptions& options) {
    return refusal([&] { LengthProjector projector(options, kHeads, kWidth); });
  };
  EXPECT_THAT(made({.length = 0}), testing::HasSubstr("length"));
  EXPECT_THAT(made({.kernel = 4}), testing::HasSubstr("kernel is of the methods convolution, mean and max only"));
  EXPECT_THAT(made({.length = 8, .method = Method::mean, .kernel = 9}), testing::HasSubstr("kernel must be at most 8"));
  EXPECT_THAT(made({.method = Method::max, .stride = 0}), testing::HasSubstr("stride"));
  auto projector = make({Method::mean, Sharing::none, 13, 4});
  EXPECT_THAT(refusal([&] {
                projector->forward(at::zeros({1, 14, kChannels}), at::zeros({12, kChannels}));
              }),
              testing::HasSubstr("expected between 1 and 13 rows, the option length; got [1, 14, 5]"));
}

}  // namespace
}  // namespace perceive::nn
