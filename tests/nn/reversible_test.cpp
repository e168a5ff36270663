// Reversible layers give the gradients of the plain call.
#include "perceive/nn/reversible.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <tuple>

#include "tests/refusal.h"

namespace perceive::nn {
namespace {

using testing::HasSubstr;

struct Reversible : testing::Test {
  // Three layers; two matrices are in two of them each, one of which is frozen.
  Reversible() {
    at::manual_seed(2);
    for (int i = 0; i < 4; ++i) weights.push_back(at::randn({5, 5}, at::kDouble).requires_grad_(i != 2));
    const auto part = [this](int i, double dropout) {
      return ReversiblePart{[weight = weights[i], dropout](const at::Tensor& x) {
                              return at::dropout(at::matmul(x, weight).tanh(), dropout, true);
                            },
                            {weights[i]}};
    };
    layers = {{part(0, 0.3), part(1, 0)}, {part(2, 0.2), part(0, 0.5)}, {part(3, 0), part(2, 0)}};
  }

  struct Results {
    at::Tensor y1, y2;
    std::vector<at::Tensor> grads;
  };
  Results run(bool plain, const at::Tensor& x1, const at::Tensor& x2) {
    at::manual_seed(7);
    auto y1 = x1, y2 = x2;
    if (plain) {
      for (const auto& layer : layers) {
        y1 = y1 + layer.f.map(y2);
        y2 = y2 + layer.g.map(y1);
      }
    } else {
      std::tie(y1, y2) = reversible(layers, x1, x2);
    }
    at::rand({17});  // which the second run must not see
    std::vector<at::Tensor> leaves;
    for (const auto& tensor : {x1, x2, weights[0], weights[1], weights[3]}) {
      if (tensor.requires_grad()) leaves.push_back(tensor);
    }
    const auto loss = (y1 * at::linspace(-1, 1, y1.numel(), y1.options()).view_as(y1)).sum() + y2.pow(2).sum();
    return {y1.detach(), y2.detach(), torch::autograd::grad({loss}, leaves)};
  }
  void expect_same(const at::Tensor& x1, const at::Tensor& x2) {
    const auto found = run(false, x1, x2), wanted = run(true, x1, x2);
    EXPECT_TRUE(at::equal(found.y1, wanted.y1));
    EXPECT_TRUE(at::equal(found.y2, wanted.y2));
    for (size_t i = 0; i < wanted.grads.size(); ++i) {
      EXPECT_TRUE(at::allclose(found.grads[i], wanted.grads[i], 1e-10, 1e-12)) << i;
    }
  }

  std::vector<at::Tensor> weights;
  std::vector<ReversibleLayer> layers;
};

at::Tensor random() {
  return at::randn({2, 7, 5}, at::kDouble);
}

TEST_F(Reversible, GivesTheGradientsOfThePlainCallWithTheSameDropout) {
  expect_same(random().requires_grad_(), random().requires_grad_());
  const auto x = random().requires_grad_();
  expect_same(x, x);
}

TEST_F(Reversible, TrainsParametersWhereNoInputNeedsAGradient) {
  expect_same(random(), random());
}

TEST_F(Reversible, LeavesTheGeneratorAsItWas) {
  const auto x = random();
  const auto [y1, y2] = reversible(layers, x, x);
  at::manual_seed(5);
  (y1 + y2).sum().backward();
  const auto after = at::rand({1});
  at::manual_seed(5);
  EXPECT_TRUE(at::equal(after, at::rand({1})));
}

// A plain call keeps what sin() reads for its derivative.
TEST_F(Reversible, KeepsNoActivations) {
  std::vector<c10::weak_intrusive_ptr<c10::TensorImpl>> read;
  const ReversiblePart part{[&](const at::Tensor& x) {
                              const auto product = at::matmul(x, weights[0]);
                              read.emplace_back(product.getIntrusivePtr());
                              return product.sin();
                            },
                            {weights[0]}};
  const auto [y1, y2] = reversible({{part, part}, {part, part}}, random(), random());
  EXPECT_TRUE(y2.requires_grad());
  ASSERT_EQ(read.size(), 4U);
  for (const auto& each : read) EXPECT_TRUE(each.expired());
}

TEST_F(Reversible, IsAPlainCallWithoutGradients) {
  const at::NoGradGuard no_grad;
  const auto [y1, y2] = reversible(layers, random(), random());
  EXPECT_FALSE(y1.requires_grad());
  EXPECT_FALSE(y2.requires_grad());
}

TEST_F(Reversible, NamesWhatItRefuses) {
  EXPECT_THAT(refusal([&] {
                reversible(layers, random(), at::randn({1, 7, 5}, at::kDouble));
              }),
              HasSubstr("same sizes; got [2, 7, 5], and [2, 7, 5] from [1, 7, 5]"));
  const auto x = random().requires_grad_();
  const auto [y1, y2] = reversible(layers, x, x);
  EXPECT_THAT(refusal([&] { torch::autograd::grad({y1.sum()}, {x}, {}, std::nullopt, /*create_graph=*/true); }),
              HasSubstr("second derivative"));
}

}  // namespace
}  // namespace perceive::nn
