// Attention to projected rows: formulas, padding, lengths, and what a causal row may know.
#include "perceive/nn/linformer_attention.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>

#include "tests/refusal.h"

namespace perceive::nn {
namespace {

LinformerAttention make(bool causal, int64_t length = 13) {
  at::manual_seed(1);
  LinformerAttention attention(
      LinformerAttentionOptions{.heads = 2, .head_channels = 3, .length = length, .projected = 4, .causal = causal}, 8);
  attention->to(at::kDouble);
  return attention;
}

at::Tensor prefix(int64_t rows, std::vector<int64_t> lengths) {
  return at::arange(rows).unsqueeze(0).lt(at::tensor(lengths).unsqueeze(1));
}

struct Parts {
  std::vector<at::Tensor> q, k, v;  // of each head, [B, n, D]
  at::Tensor projection, output_weight, output_bias;
};

Parts parts_of(LinformerAttention& attention, const at::Tensor& x) {
  const auto p = attention->named_parameters();
  const auto q = at::linear(x, p["query.weight"]), kv = at::linear(x, p["key_value.weight"]);
  const auto both = kv.chunk(2, 2);
  return {q.chunk(2, 2),   both[0].chunk(2, 2), both[1].chunk(2, 2),
          p["projection"], p["output.weight"],  p["output.bias"]};
}

at::Tensor softmax_over(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& mask) {
  auto scores = at::matmul(q, k.mT()) / std::sqrt(3.0);
  if (mask.defined()) scores = scores.masked_fill(mask.logical_not(), -1e300);
  return at::matmul(at::softmax(scores, -1), v);
}

TEST(LinformerAttention, IsTheFormulaAtEveryLength) {
  auto attention = make(false);
  for (const int64_t n : {13, 7, 1}) {
    const auto x = at::randn({2, n, 8}, at::kDouble).requires_grad_();
    const auto p = parts_of(attention, x);
    const auto e = p.projection.narrow(1, 0, n);
    std::vector<at::Tensor> heads;
    for (size_t h = 0; h < 2; ++h) {
      heads.push_back(softmax_over(p.q[h], at::matmul(e, p.k[h]), at::matmul(e, p.v[h]), {}));
    }
    const auto expected = at::linear(at::cat(heads, 2), p.output_weight, p.output_bias);
    const auto actual = attention->forward(x);
    EXPECT_TRUE(at::allclose(actual, expected, 1e-10, 1e-10)) << n;
    auto leaves = attention->parameters();
    leaves.push_back(x);
    const auto wanted = torch::autograd::grad({expected.square().sum()}, leaves);
    const auto found = torch::autograd::grad({actual.square().sum()}, leaves);
    for (size_t i = 0; i < wanted.size(); ++i) EXPECT_TRUE(at::allclose(found[i], wanted[i], 1e-9, 1e-9)) << n << i;
  }
}

TEST(LinformerAttention, ReadsNothingOfPadding) {
  for (const bool causal : {false, true}) {
    auto attention = make(causal, causal ? 5 : 13);
    const auto x = at::randn({2, 12, 8}, at::kDouble);
    const auto padded = attention->forward(x, prefix(12, {7, 12})), alone = attention->forward(x.narrow(1, 0, 7));
    EXPECT_TRUE(at::allclose(padded[0].narrow(0, 0, 7), alone[0], 1e-10, 1e-10)) << causal;
    EXPECT_TRUE(at::allclose(padded[1], attention->forward(x)[1], 1e-10, 1e-10)) << causal;
    const auto nothing = attention->forward(x, prefix(12, {0, 0}));
    EXPECT_TRUE(at::allclose(nothing, attention->named_parameters()["output.bias"].expand_as(nothing))) << causal;
  }
}

// Blocks of 5: own rows as they are, earlier blocks by their 4 projected rows.
TEST(LinformerAttention, IsTheFormulaInBlocks) {
  auto attention = make(true, 5);
  const int64_t n = 15;
  const auto x = at::randn({2, n, 8}, at::kDouble).requires_grad_();
  const auto p = parts_of(attention, x);
  const auto rows = at::arange(n), own = at::arange(n), far = at::arange(12).floor_divide(4);
  const auto block = rows.floor_divide(5).unsqueeze(1);
  const auto mask = at::cat({block.eq(own.floor_divide(5)).logical_and(own.le(rows.unsqueeze(1))), far.lt(block)}, 1);
  const auto with_far = [&](const at::Tensor& t) {
    return at::cat({t, at::matmul(p.projection, t.unflatten(1, {3, 5})).flatten(1, 2)}, 1);
  };
  std::vector<at::Tensor> heads;
  for (size_t h = 0; h < 2; ++h) heads.push_back(softmax_over(p.q[h], with_far(p.k[h]), with_far(p.v[h]), mask));
  const auto expected = at::linear(at::cat(heads, 2), p.output_weight, p.output_bias);
  const auto actual = attention->forward(x);
  EXPECT_TRUE(at::allclose(actual, expected, 1e-10, 1e-10));
  auto leaves = attention->parameters();
  leaves.push_back(x);
  const auto wanted = torch::autograd::grad({expected.square().sum()}, leaves);
  const auto found = torch::autograd::grad({actual.square().sum()}, leaves);
  for (size_t i = 0; i < wanted.size(); ++i) EXPECT_TRUE(at::allclose(found[i], wanted[i], 1e-9, 1e-9)) << i;
}

TEST(LinformerAttention, IsCausal) {
  auto attention = make(true, 5);
  const auto x = at::randn({1, 17, 8}, at::kDouble);
  const auto before = attention->forward(x);
  for (const int64_t i : {0, 4, 5, 11, 16}) {
    auto other = x.clone();
    other.select(1, i).add_(1);
    const auto changed = attention->forward(other).ne(before).any(2)[0];
    EXPECT_FALSE(changed.narrow(0, 0, i).any().item<bool>()) << i;
    EXPECT_TRUE(changed.narrow(0, i, 17 - i).all().item<bool>()) << i;
  }
}

TEST(LinformerAttention, DropsInTrainingOnly) {
  at::manual_seed(1);
  LinformerAttention attention(
      LinformerAttentionOptions{.heads = 2, .length = 6, .projected = 4, .causal = true, .dropout = 0.5}, 8);
  const auto x = at::randn({2, 12, 8});
  EXPECT_FALSE(attention->forward(x).equal(attention->forward(x)));
  attention->eval();
  EXPECT_TRUE(attention->forward(x).equal(attention->forward(x)));
}

TEST(LinformerAttention, RefusesWhatDoesNotFit) {
  auto attention = make(false);
  EXPECT_THAT(refusal([&] {
                attention->forward(at::zeros({1, 14, 8}));
              }),
              testing::HasSubstr("n up to 13; got [1, 14, 8]"));
  EXPECT_THAT(refusal([&] {
                attention->forward(at::zeros({1, 13, 8}), at::ones({1, 12}, at::kBool));
              }),
              testing::HasSubstr("a mask of bool [1, 13]; got Bool [1, 12]"));
  EXPECT_THAT(refusal([&] { LinformerAttention wrong(LinformerAttentionOptions{.heads = 3}, 8); }),
              testing::HasSubstr("heads"));
  EXPECT_THAT(refusal([&] { LinformerAttention wrong(LinformerAttentionOptions{.projected = 0}, 8); }),
              testing::HasSubstr("projected"));
}

}  // namespace
}  // namespace perceive::nn
