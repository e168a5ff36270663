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

// Causal: three blocks of 5, each projected to 4 rows.
LinformerAttentionOptions options_of(bool causal) {
  LinformerAttentionOptions options{.heads = 2, .head_channels = 3, .causal = causal};
  options.projection.length = causal ? 15 : 13;
  options.projection.projected = causal ? 12 : 4;
  if (causal) options.block = 5;
  return options;
}

LinformerAttention make(const LinformerAttentionOptions& options) {
  at::manual_seed(1);
  LinformerAttention attention(options, 8);
  attention->to(at::kDouble);
  return attention;
}
LinformerAttention make(bool causal) {
  return make(options_of(causal));
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
  return {q.chunk(2, 2),      both[0].chunk(2, 2), both[1].chunk(2, 2), p["projection.key_value"][0],
          p["output.weight"], p["output.bias"]};
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
    auto attention = make(causal);
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
  auto attention = make(true);
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

// By every method, and exactly: what comes later changes nothing, and gets no gradient from what was before.
TEST(LinformerAttention, IsCausal) {
  using Method = ProjectionMethod;
  for (const auto method : {Method::learned, Method::random, Method::convolution, Method::mean, Method::max}) {
    for (const bool full : {false, true}) {
      auto options = options_of(true);
      options.projection.method = method;
      options.full_attention = full;
      if (method == Method::convolution) options.projection.kernel = 3, options.projection.stride = 2;
      auto attention = make(options);
      const auto x = at::randn({1, 14, 8}, at::kDouble).requires_grad_();
      const auto before = attention->forward(x);
      for (const int64_t i : {0, 4, 5, 11, 13}) {
        auto other = x.detach().clone();
        other.select(1, i).add_(1);
        const auto changed = attention->forward(other).ne(before).any(2)[0];
        EXPECT_FALSE(changed.narrow(0, 0, i).any().item<bool>()) << i;
        EXPECT_TRUE(changed[i].item<bool>()) << i;
        if (method != Method::max || full) {
          EXPECT_TRUE(changed.narrow(0, i, 14 - i).all().item<bool>()) << i;
        }
        const auto known = torch::autograd::grad({before.select(1, i).square().sum()}, {x}, {}, true)[0];
        EXPECT_FALSE(known.narrow(1, i + 1, 13 - i).ne(0).any().item<bool>()) << i;
        EXPECT_TRUE(known.select(1, i).ne(0).any().item<bool>()) << i;
      }
    }
  }
}

TEST(LinformerAttention, AttendsToAllRowsOnDemand) {
  for (const bool causal : {false, true}) {
    auto options = options_of(causal);
    options.full_attention = true;
    auto attention = make(options);
    const auto x = at::randn({2, 9, 8}, at::kDouble);
    const auto p = attention->named_parameters();
    EXPECT_EQ(p.find("projection.key_value"), nullptr);
    const auto q = at::linear(x, p["query.weight"]).chunk(2, 2);
    const auto both = at::linear(x, p["key_value.weight"]).chunk(4, 2);
    auto mask = prefix(9, {7, 9}).unsqueeze(1).expand({2, 9, 9});
    if (causal) mask = mask.tril();
    std::vector<at::Tensor> heads;
    for (size_t h = 0; h < 2; ++h) heads.push_back(softmax_over(q[h], both[h], both[2 + h], mask));
    const auto expected = at::linear(at::cat(heads, 2), p["output.weight"], p["output.bias"]);
    EXPECT_TRUE(at::allclose(attention->forward(x, prefix(9, {7, 9})), expected, 1e-10, 1e-10)) << causal;
  }
}

// Of another width and length than what reads it.
TEST(LinformerAttention, ReadsAContext) {
  at::manual_seed(1);
  LinformerAttention attention(options_of(false), 8, nullptr, 6);
  attention->to(at::kDouble);
  const auto x = at::randn({2, 20, 8}, at::kDouble), context = at::randn({2, 11, 6}, at::kDouble);
  const auto p = attention->named_parameters();
  const auto rows = context.masked_fill(prefix(11, {11, 5}).logical_not().unsqueeze(2), 0);
  const auto e = p["projection.key_value"][0].narrow(1, 0, 11);
  const auto q = at::linear(x, p["query.weight"]).chunk(2, 2);
  const auto both = at::matmul(e, at::linear(rows, p["key_value.weight"])).chunk(4, 2);
  std::vector<at::Tensor> heads;
  for (size_t h = 0; h < 2; ++h) heads.push_back(softmax_over(q[h], both[h], both[2 + h], {}));
  const auto expected = at::linear(at::cat(heads, 2), p["output.weight"], p["output.bias"]);
  EXPECT_TRUE(at::allclose(attention->read(x, context, prefix(11, {11, 5})), expected, 1e-10, 1e-10));
}

// The projection of a block, [its projected rows, its rows], by the defaults.
TEST(LinformerAttention, CutsBlocksOfAQuarterOfTheLengthOr128) {
  const auto projection = [](int64_t length, int64_t projected) {
    LinformerAttentionOptions options{.causal = true};
    options.projection.length = length;
    options.projection.projected = projected;
    return make(options)->named_parameters()["projection.key_value"].sizes().vec();
  };
  EXPECT_EQ(projection(512, 64), (std::vector<int64_t>{1, 16, 128}));
  EXPECT_EQ(projection(62, 10), (std::vector<int64_t>{1, 3, 16}));
  EXPECT_EQ(projection(4096, 16), (std::vector<int64_t>{1, 1, 256}));
  EXPECT_EQ(projection(1, 1), (std::vector<int64_t>{1, 1, 1}));
}

TEST(LinformerAttention, DropsInTrainingOnly) {
  auto options = options_of(true);
  options.dropout = 0.5;
  auto attention = make(options);
  const auto x = at::randn({2, 12, 8}, at::kDouble);
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
  EXPECT_THAT(refusal([&] {
                make(true)->read(at::zeros({1, 3, 8}), at::zeros({1, 3, 8}));
              }),
              testing::HasSubstr("reads no context"));
  const auto made = [](const LinformerAttentionOptions& options) { return refusal([&] { make(options); }); };
  EXPECT_THAT(made({.heads = 3}), testing::HasSubstr("heads"));
  EXPECT_THAT(made({.projection = {.projected = 0}}), testing::HasSubstr("projected"));
  EXPECT_THAT(made({.block = 4}), testing::HasSubstr("block is of causal attention only"));
  EXPECT_THAT(made({.causal = true, .block = 513}), testing::HasSubstr("block must be at most length, 512; got 513"));
  EXPECT_THAT(made({.projection = {.method = ProjectionMethod::mean, .kernel = 200}, .causal = true}),
              testing::HasSubstr("kernel must be at most 128"));
}

}  // namespace
}  // namespace perceive::nn
