// Activation checkpointing gives the gradients of the plain call.
#include "perceive/nn/checkpoint.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/autocast_mode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "perceive/nn/layer.h"
#include "tests/refusal.h"

namespace perceive::nn {
namespace {

struct Gradients {
  at::Tensor output, input;
  std::vector<at::Tensor> parameters;
};

// One forward and backward pass of a segment with the random generator at `seed`.
Gradients run(const Segment& segment, const at::Tensor& x, const std::vector<at::Tensor>& parameters, bool checkpointed,
              uint64_t seed = 7) {
  at::manual_seed(seed);
  for (const auto& p : parameters) p.mutable_grad() = at::Tensor();
  const auto input = x.detach().clone().requires_grad_(x.requires_grad());
  const auto output = checkpointed ? checkpoint(segment, {input}, parameters) : segment({input});
  // Draws between the two passes, which the second run of the segment must not see.
  at::rand({17});
  const auto weight = at::linspace(-1, 1, output.numel(), output.options()).view_as(output);
  (output * weight).sum().backward();
  Gradients found{output.detach(), input.grad(), {}};
  for (const auto& p : parameters) found.parameters.push_back(p.grad().clone());
  return found;
}

void expect_same(const Gradients& a, const Gradients& b) {
  EXPECT_TRUE(at::equal(a.output, b.output));
  ASSERT_EQ(a.input.defined(), b.input.defined());
  if (a.input.defined()) {
    EXPECT_TRUE(at::equal(a.input, b.input));
  }
  for (size_t i = 0; i < a.parameters.size(); ++i) EXPECT_TRUE(at::equal(a.parameters[i], b.parameters[i])) << i;
}

struct Checkpoint : testing::Test {
  at::Tensor weight = at::randn({5, 3}).requires_grad_(), bias = at::randn({5}).requires_grad_();
  Segment segment = [this](const std::vector<at::Tensor>& inputs) {
    return at::dropout(at::linear(inputs[0], weight, bias).tanh(), 0.4, true);
  };
};

TEST_F(Checkpoint, GivesTheGradientsOfThePlainCallWithTheSameDropout) {
  const auto x = at::randn({11, 3}).requires_grad_();
  expect_same(run(segment, x, {weight, bias}, true), run(segment, x, {weight, bias}, false));
}

TEST_F(Checkpoint, TrainsParametersWhereNoInputNeedsAGradient) {
  const auto x = at::randn({11, 3});
  const auto found = run(segment, x, {weight, bias}, true);
  EXPECT_FALSE(found.input.defined());
  expect_same(found, run(segment, x, {weight, bias}, false));
}

TEST_F(Checkpoint, LeavesTheGeneratorAsItWasAfterBackward) {
  const auto output = checkpoint(segment, {at::randn({4, 3})}, {weight, bias});
  at::manual_seed(3);
  const auto expected = at::rand({5});
  at::manual_seed(3);
  output.sum().backward();
  EXPECT_TRUE(at::equal(at::rand({5}), expected));
}

TEST_F(Checkpoint, IsAPlainCallWithoutGradients) {
  const at::NoGradGuard no_grad;
  int runs = 0;
  const Segment counted = [&](const std::vector<at::Tensor>& inputs) {
    ++runs;
    return inputs[0] * weight.sum();
  };
  EXPECT_FALSE(checkpoint(counted, {at::ones({2})}, {weight}).requires_grad());
  EXPECT_EQ(runs, 1);
}

TEST_F(Checkpoint, SeesTheAutocastOfTheForwardPassAndKeepsItsCacheClean) {
  const auto x = at::randn({6, 3}).requires_grad_();
  const Segment plain = [this](const std::vector<at::Tensor>& inputs) {
    const bool outer = at::autocast::is_autocast_enabled(at::kCPU);
    at::autocast::set_autocast_enabled(at::kCPU, true);
    auto y = segment(inputs).to(at::kFloat);
    at::autocast::set_autocast_enabled(at::kCPU, outer);
    return y;
  };
  const auto expected = run(plain, x, {weight, bias}, false);

  at::manual_seed(7);
  weight.mutable_grad() = at::Tensor();
  bias.mutable_grad() = at::Tensor();
  const auto input = x.detach().clone().requires_grad_();
  at::autocast::set_autocast_enabled(at::kCPU, true);
  const auto output = checkpoint(segment, {input}, {weight, bias}).to(at::kFloat);
  const auto again = at::linear(input, weight, bias);  // outside the segment, the weight still has its history
  at::autocast::set_autocast_enabled(at::kCPU, false);
  at::autocast::clear_cache();
  EXPECT_TRUE(torch::autograd::grad({again.sum()}, {weight}, {}, true)[0].defined());
  at::rand({17});
  (output * at::linspace(-1, 1, output.numel()).view_as(output)).sum().backward();
  EXPECT_TRUE(at::equal(output, expected.output));
  EXPECT_TRUE(at::equal(input.grad(), expected.input));
  EXPECT_TRUE(at::allclose(weight.grad(), expected.parameters[0], 1e-6, 1e-6));
  EXPECT_FALSE(at::autocast::is_autocast_enabled(at::kCPU));
}

TEST_F(Checkpoint, RefusesASecondDerivative) {
  const auto output = checkpoint(segment, {at::randn({4, 3})}, {weight, bias});
  try {
    torch::autograd::grad({output.sum()}, {weight}, {}, true, /*create_graph=*/true);
    FAIL() << "no refusal";
  } catch (const c10::Error& error) {
    EXPECT_THAT(error.what_without_backtrace(), testing::HasSubstr("second derivative"));
  }
}

TEST_F(Checkpoint, NoticesAnInputThatWasChangedInPlace) {
  const auto x = at::randn({4, 3});
  const auto output = checkpoint(segment, {x}, {weight, bias});
  x.add_(1);
  EXPECT_THROW(output.sum().backward(), c10::Error);
}

TEST_F(Checkpoint, LetsAnErrorOfTheSegmentThrough) {
  const Segment failing = [](const std::vector<at::Tensor>&) -> at::Tensor { throw std::runtime_error("segment"); };
  EXPECT_THROW(checkpoint(failing, {at::ones({1})}, {weight}), std::runtime_error);
  EXPECT_TRUE(at::autocast::is_autocast_cache_enabled());
}

LayerOptions layer_options(bool checkpointed) {
  LayerOptions options;
  options.attention.heads = 2;
  options.attention.dropout = 0.3;
  options.residual_dropout = 0.2;
  options.activation_checkpointing = checkpointed;
  return options;
}

struct CheckpointTiles : testing::Test {
  static constexpr int64_t kRows = 10;
  const std::vector<RowTile> tiles{{0, 4}, {3, 5}, {6, 4}};  // which overlap
  const TileSegment segment = [](const RowTile& tile, const std::vector<at::Tensor>& given) {
    return at::linear(given[0], given[1]).tanh() * static_cast<double>(tile.first + 1);
  };
  at::Tensor plain(const at::Tensor& x, const at::Tensor& weight) const {
    std::vector<at::Tensor> parts;
    for (const auto& tile : tiles) parts.push_back(segment(tile, {x.narrow(1, tile.first, tile.rows), weight}));
    return at::cat(parts, 1);
  }
};

TEST_F(CheckpointTiles, GiveTheGradientsOfThePlainCall) {
  for (const auto& [of_x, of_weight] : {std::pair{true, true}, {true, false}, {false, true}}) {
    const auto x = at::randn({kRows, 2, 3}, at::kDouble).transpose(0, 1).requires_grad_(of_x);
    const auto weight = at::randn({5, 3}, at::kDouble).requires_grad_(of_weight);
    const auto output = checkpoint_tiles(segment, tiles, 1, x, {weight}), expected = plain(x, weight);
    ASSERT_TRUE(output.equal(expected));
    const auto cotangent = at::randn_like(output);
    std::vector<at::Tensor> leaves;
    if (of_x) leaves.push_back(x);
    if (of_weight) leaves.push_back(weight);
    const auto found = torch::autograd::grad({output}, leaves, {cotangent});
    const auto wanted = torch::autograd::grad({expected}, leaves, {cotangent});
    for (size_t i = 0; i < leaves.size(); ++i) EXPECT_TRUE(found[i].allclose(wanted[i], 1e-12, 1e-12)) << i;
  }
}

TEST_F(CheckpointTiles, NoticeAnInputThatWasChangedInPlaceAndRefuseASecondDerivative) {
  const auto x = at::randn({2, kRows, 3}).requires_grad_();
  auto weight = at::randn({5, 3});
  const auto output = checkpoint_tiles(segment, tiles, 1, x, {weight});
  const auto again = refusal([&] { torch::autograd::grad({output.sum()}, {x}, {}, true, /*create_graph=*/true); });
  EXPECT_THAT(again, testing::HasSubstr("second derivative"));
  weight.add_(1);
  EXPECT_THAT(refusal([&] { output.sum().backward(); }), testing::HasSubstr("modified by an inplace operation"));
}

TEST_F(CheckpointTiles, AreAPlainCallWithoutGradients) {
  const at::NoGradGuard none;
  const auto x = at::randn({2, kRows, 3}), weight = at::randn({5, 3});
  EXPECT_TRUE(checkpoint_tiles(segment, tiles, 1, x, {weight}).equal(plain(x, weight)));
}

TEST(CheckpointedLayers, HaveTheGradientsOfPlainOnesWithDropout) {
  const auto context = at::randn({2, 13, 6});
  std::vector<std::vector<at::Tensor>> grads;
  for (const bool checkpointed : {false, true}) {
    at::manual_seed(0);
    CrossAttentionLayer cross(layer_options(checkpointed), 8, 6);
    SelfAttentionLayer self(layer_options(checkpointed), 8);
    const auto latents = at::randn({1, 5, 8}).requires_grad_();
    const auto values = context.clone().requires_grad_();
    const auto y = self->forward(cross->forward(latents, ops::Source::of(values)));
    y.square().sum().backward();
    std::vector<at::Tensor> found{y.detach(), latents.grad(), values.grad()};
    for (const auto& p : cross->parameters()) found.push_back(p.grad());
    for (const auto& p : self->parameters()) found.push_back(p.grad());
    grads.push_back(found);
  }
  for (size_t i = 0; i < grads[0].size(); ++i) EXPECT_TRUE(at::equal(grads[0][i], grads[1][i])) << i;
}

}  // namespace
}  // namespace perceive::nn
