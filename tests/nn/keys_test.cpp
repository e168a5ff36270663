// Sources read as one row of keys, against plain formulas in double.
#include "perceive/nn/keys.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "perceive/nn/attention.h"
#include "perceive/nn/rotary.h"
#include "tests/refusal.h"

namespace perceive::nn {
namespace {

constexpr int64_t kBatch = 3, kHeads = 2, kQueries = 5, kWidth = 7, kHead = 4, kValue = 3;

at::Tensor random(at::IntArrayRef sizes) {
  return at::randn(sizes, at::kDouble);
}

ops::Projection projection(bool normalize) {
  ops::Projection p;
  p.heads = kHeads;
  p.key_weight = random({kHeads * kHead, kWidth});
  p.key_bias = random({kHeads * kHead});
  p.value_weight = random({kHeads * kValue, kWidth});
  p.value_bias = random({kHeads * kValue});
  p.normalize = normalize;
  if (normalize) {
    p.norm_weight = random({kWidth}) + 1.0;
    p.norm_bias = random({kWidth});
  }
  return p;
}

at::Tensor masked(int64_t keys, std::vector<int64_t> empty_samples) {
  auto mask = at::rand({kBatch, keys}).gt(0.4);
  mask.select(1, keys / 2).fill_(true);
  for (const int64_t sample : empty_samples) mask[sample].fill_(false);
  return mask;
}

// Two sources with other widths of channels and positions, and other norms.
std::vector<Keys> two_sources(const std::vector<int64_t>& empty_samples, int64_t factor = 1) {
  const int64_t first = 3 * factor, rows = 2 * factor, columns = 3;
  const ops::Positions grid{.axes = {random({rows, 2}), random({columns, 1})}};
  std::vector<Keys> keys;
  keys.push_back(
      {ops::Source::of(random({kBatch, first, kWidth}), {}, masked(first, empty_samples)), projection(true)});
  keys.push_back(
      {ops::Source::of(random({kBatch, rows * columns, kWidth - 3}), grid, masked(rows * columns, empty_samples)),
       projection(false)});
  return keys;
}

void require_gradients(std::vector<Keys>& keys) {
  for (auto& each : keys) {
    for_tensors(each, [](at::Tensor& tensor) { tensor.set_requires_grad(true); });
  }
}

// All of it written out. Returns the weights [B, H, N, M] and the values [B, H, M, Dv].
std::pair<at::Tensor, at::Tensor> formula(at::Tensor q, const std::vector<Keys>& keys, const ReadOptions& options) {
  std::vector<at::Tensor> k, v, masks;
  for (const auto& [source, p] : keys) {
    auto x = source.values;
    if (source.positions.width() > 0) {
      x = at::cat({x, source.positions.expand(0, x.size(1)).expand({kBatch, -1, -1})}, 2);
    }
    if (p.normalize) x = at::layer_norm(x, {kWidth}, p.norm_weight, p.norm_bias);
    const auto heads = [](const at::Tensor& t) { return t.reshape({kBatch, t.size(1), kHeads, -1}).transpose(1, 2); };
    k.push_back(heads(at::matmul(x, p.key_weight.t()) + p.key_bias));
    v.push_back(heads(at::matmul(x, p.value_weight.t()) + p.value_bias));
    masks.push_back(source.mask);
  }
  auto all = at::cat(k, 2);
  const auto mask = at::cat(masks, 1).unsqueeze(1).unsqueeze(1);
  if (options.rotary_channels > 0) {
    q = rotate(q, options.rotary_channels);
    all = rotate(all, options.rotary_channels);
  }
  const auto s = at::matmul(q, all.transpose(2, 3)) / 2.0;  // sqrt(kHead)
  const auto lowest = at::full({}, -1e300, at::kDouble);
  at::Tensor weights;
  if (options.inverted) {
    weights = at::where(mask, at::where(mask, s, lowest).softmax(2), at::zeros({}, at::kDouble));
    weights = weights / weights.sum(-1, true).clamp_min(1e-8);
  } else if (options.empty_rows == EmptyRows::zeros) {
    weights = s.masked_fill(mask.logical_not(), -INFINITY).softmax(-1).nan_to_num(0.0);
  } else if (options.empty_rows == EmptyRows::uniform) {
    weights = at::where(mask, s, lowest).softmax(-1);
  } else {
    weights = (s + mask.logical_not().to(at::kDouble) * -10000.0).softmax(-1);
  }
  return {weights, at::cat(v, 2)};
}

struct Case {
  const char* name;
  ReadOptions options;
};

const std::vector<Case> kCases{{"zeros", {}},
                               {"uniform", {.empty_rows = EmptyRows::uniform}},
                               {"penalty", {.empty_rows = EmptyRows::penalty}},
                               {"rotary", {.rotary_channels = 4}},
                               {"half_rotary", {.rotary_channels = 2}},
                               {"odd_rotary", {.rotary_channels = 3}},
                               {"inverted", {.inverted = true}},
                               {"inverted_uniform", {.empty_rows = EmptyRows::uniform, .inverted = true}}};

class Read : public testing::TestWithParam<Case> {};

TEST_P(Read, AgreesWithTheFormulaForwardAndBackward) {
  at::manual_seed(3);
  const auto& options = GetParam().options;
  auto keys = two_sources({1});
  require_gradients(keys);
  const auto q = random({kBatch, kHeads, kQueries, kHead}).requires_grad_();
  std::vector<at::Tensor> leaves{q};
  for (auto& each : keys) for_tensors(each, [&](at::Tensor& tensor) { leaves.push_back(tensor); });
  const auto [weights, values] = formula(q, keys, options);
  const auto expected = at::matmul(weights, values), actual = read(q, keys, options);
  EXPECT_TRUE(at::allclose(actual, expected, 1e-10, 1e-10));
  const auto given_weights = read_weights(q, keys, options);
  EXPECT_TRUE(at::allclose(given_weights, weights, 1e-10, 1e-10));
  {
    const at::NoGradGuard no_grad;
    EXPECT_TRUE(at::allclose(read_weights(q, keys, options), weights, 1e-10, 1e-10));
  }
  const auto cotangent = random(expected.sizes()), of_weights = random(weights.sizes());
  const auto grads = [&](const at::Tensor& output, const at::Tensor& maps) {
    for (auto& leaf : leaves) leaf.mutable_grad() = at::Tensor();
    ((output * cotangent).sum() + (maps * of_weights).sum()).backward();
    std::vector<at::Tensor> all;
    for (const auto& leaf : leaves) all.push_back(leaf.grad().defined() ? leaf.grad().clone() : at::zeros_like(leaf));
    return all;
  };
  const auto given = grads(actual, given_weights), wanted = grads(expected, weights);
  for (size_t i = 0; i < leaves.size(); ++i) {
    EXPECT_TRUE(at::allclose(given[i], wanted[i], 1e-8, 1e-8)) << "leaf " << i;
  }
}
INSTANTIATE_TEST_SUITE_P(All, Read, testing::ValuesIn(kCases), [](const auto& info) { return info.param.name; });

// Long enough for several blocks of keys: their number follows from the queries' number.
TEST(ReadBlocks, MergeToTheSame) {
  at::manual_seed(4);
  for (const auto& each : {ReadOptions{.rotary_channels = 4}, ReadOptions{.inverted = true}}) {
    const auto keys = two_sources({0}, 120);
    const auto q = random({kBatch, kHeads, 9000, kHead});
    const auto [weights, values] = formula(q, keys, each);
    EXPECT_TRUE(at::allclose(read(q, keys, each), at::matmul(weights, values), 1e-9, 1e-9));
  }
}

// In float32 scores that were lowered by 10,000 keep three decimal places.
TEST(ReadPenalty, RoundsTheScoresOfSamplesWithoutKeys) {
  at::manual_seed(5);
  const ReadOptions options{.empty_rows = EmptyRows::penalty};
  auto keys = two_sources({1});
  auto q = random({kBatch, kHeads, kQueries, kHead});
  for (auto& each : keys) for_tensors(each, [](at::Tensor& tensor) { tensor = tensor.to(at::kFloat); });
  q = q.to(at::kFloat);
  const auto single = read(q, keys, options);
  std::vector<Keys> open = keys;
  for (auto& each : open) each.source.mask = each.source.mask.logical_or(at::ones({}, at::kBool));
  const auto exact = read(q, open, options);
  const double rounding = (single[1] - exact[1]).abs().max().item<double>();
  EXPECT_GT(rounding, 1e-6);
  EXPECT_LT(rounding, 1e-2);
}

// Weights all equal, values of +1 in the first block of keys and of -1 in the second: were the same weights dropped in
// both, their sum would be zero everywhere.
TEST(ReadBlocks, DropOtherWeightsInEach) {
  constexpr int64_t kBlock = 64, kRows = 65536;
  ops::Projection p;
  p.key_weight = at::zeros({2, 1});
  p.value_weight = at::ones({1, 1});
  const auto values = at::cat({at::ones({1, kBlock, 1}), -at::ones({1, kBlock, 1})}, 1);
  ReadOptions options{.rotary_channels = 2};
  options.attend.dropout = 0.5;
  const auto out = read(at::zeros({1, 1, kRows, 2}), {{ops::Source::of(values), p}}, options);
  EXPECT_GT(out.ne(0).to(at::kFloat).mean().item<float>(), 0.5);
  EXPECT_NEAR(out.mean().item<float>(), 0.0, 0.01);
}

TEST(ReadBlocks, RefuseASourceInChunks) {
  const auto source = ops::Source::in_chunks(
      [](int64_t, int64_t count) {
        return at::zeros({1, count, kWidth});
      },
      1, 10, kWidth);
  const auto q = at::zeros({1, kHeads, 2, kHead});
  EXPECT_THROW(read(q, {{source, projection(false)}}, {.inverted = true}), c10::NotImplementedError);
}

// ---- The module's switches

AttentionOptions small(Packing packing) {
  AttentionOptions options;
  options.heads = 2;
  options.qk_channels = 8;
  options.v_channels = 6;
  options.packing = packing;
  return options;
}

// However the projections are packed, the same numbers follow from the same rows.
TEST(Attention, GivesTheSameForEveryPacking) {
  at::manual_seed(6);
  const auto x = at::randn({2, 5, 10});
  Attention separate(small(Packing::separate), AttentionWidths{10, std::nullopt});
  const auto expected = separate->forward(x);
  const auto from = separate->named_parameters();
  for (const auto packing : {Packing::key_value, Packing::all}) {
    Attention packed(small(packing), AttentionWidths{10, std::nullopt});
    const at::NoGradGuard no_grad;
    for (auto& item : packed->named_parameters()) {
      const auto part = item.key().substr(item.key().rfind('.'));
      const auto get = [&](const char* name) { return from[name + part]; };
      auto to = item.value();
      if (item.key().starts_with("query_key_value")) {
        to.copy_(at::cat({get("query"), get("key"), get("value")}));
      } else if (item.key().starts_with("key_value")) {
        to.copy_(at::cat({get("key"), get("value")}));
      } else {
        to.copy_(from[item.key()]);
      }
    }
    EXPECT_TRUE(at::allclose(packed->forward(x), expected, 1e-5, 1e-6));
    EXPECT_TRUE(at::allclose(packed->weights(x), separate->weights(x), 1e-5, 1e-6));
  }
}

TEST(Attention, RefusesWhatItsSwitchesDoNotAllow) {
  using testing::HasSubstr;
  auto options = small(Packing::all);
  EXPECT_THAT(refusal([&] { check(options, {10, 7}); }), HasSubstr("packing must not be all in cross-attention"));
  options = small(Packing::separate);
  options.rotary_channels = 5;
  EXPECT_THAT(refusal([&] { check(options, {10, 7}); }), HasSubstr("rotary_channels must be at most 4"));
  options = small(Packing::separate);
  options.queries_as_keys = true;
  EXPECT_THAT(refusal([&] { check(options, {10, 7}); }), HasSubstr("as wide as the queries; got 7 and 10"));
}

}  // namespace
}  // namespace perceive::nn
