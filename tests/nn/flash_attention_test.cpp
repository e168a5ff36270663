// The native attention with buckets: against plain formulas in double.
#include "perceive/nn/flash_attention.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/autograd.h>

#include <cmath>

#include "tests/refusal.h"

namespace perceive::nn {
namespace {

using testing::HasSubstr;

constexpr int64_t kBatch = 3, kDim = 7, kHeads = 2, kHead = 5;

FlashAttentionOptions small(bool causal = false) {
  return {.dim = kDim, .heads = kHeads, .dim_head = kHead, .causal = causal, .q_bucket_size = 3, .k_bucket_size = 4};
}
FlashAttention in_double(const FlashAttentionOptions& options) {
  at::manual_seed(3);
  FlashAttention module(options);
  module->to(at::kDouble);
  return module;
}
at::Tensor random(int64_t length, int64_t batch = kBatch) {
  return at::randn({batch, length, kDim}, at::kDouble).requires_grad_();
}

// mask: bool, broadcastable to [B, H, N, M].
at::Tensor formula(FlashAttentionImpl& module, const at::Tensor& x, const at::Tensor& context, const at::Tensor& mask) {
  const auto weights = module.named_parameters();
  const auto heads = [](const at::Tensor& y) { return y.view({y.size(0), y.size(1), kHeads, -1}).transpose(1, 2); };
  const auto q = heads(at::linear(x, weights["to_q.weight"]));
  const auto both = at::linear(context, weights["to_kv.weight"]);
  const auto k = heads(both.narrow(2, 0, kHeads * kHead)), v = heads(both.narrow(2, kHeads * kHead, kHeads * kHead));
  const int64_t queries = x.size(1), keys = context.size(1);
  auto allowed = at::ones({queries, keys}, at::kBool);
  if (module.options().causal) allowed = allowed.tril(keys - queries);
  if (mask.defined()) allowed = allowed.logical_and(mask);
  const auto scores = (at::matmul(q, k.transpose(2, 3)) / std::sqrt(double{kHead})).masked_fill(~allowed, -1e300);
  const auto shares = at::where(allowed, scores.softmax(-1), at::zeros({}, at::kDouble));
  return at::linear(at::matmul(shares, v).transpose(1, 2).flatten(2), weights["to_out.weight"]);
}

// Output and gradients of everything.
void expect_formula(FlashAttention module, const at::Tensor& x, const FlashAttentionInputs& inputs,
                    const at::Tensor& mask = {}) {
  const auto output = module->forward(x, inputs);
  const auto expected = formula(*module, x, inputs.context.defined() ? inputs.context : x, mask);
  EXPECT_TRUE(at::allclose(output, expected, 1e-10, 1e-12));
  auto leaves = module->parameters();
  leaves.push_back(x);
  if (inputs.context.defined()) leaves.push_back(inputs.context);
  const auto weights = at::randn_like(output);
  const auto actual = torch::autograd::grad({output}, leaves, {weights});
  const auto wanted = torch::autograd::grad({expected}, leaves, {weights});
  for (size_t i = 0; i < leaves.size(); ++i) {
    EXPECT_TRUE(at::allclose(actual[i], wanted[i], 1e-9, 1e-11)) << "gradient " << i;
  }
}

TEST(FlashAttention, IsTheFormulaForEveryPairOfLengths) {
  for (const bool causal : {false, true}) {
    for (const auto& [queries, keys] : std::vector<std::pair<int64_t, int64_t>>{{1, 1}, {7, 7}, {5, 11}, {11, 5}}) {
      SCOPED_TRACE(testing::Message() << (causal ? "causal " : "") << queries << " queries, " << keys << " keys");
      auto module = in_double(small(causal));
      expect_formula(module, random(queries), {.context = random(keys)});
    }
    expect_formula(in_double(small(causal)), random(13), {});
  }
}

TEST(FlashAttention, TakesMasksOfEveryFormAndDtype) {
  for (const bool causal : {false, true}) {
    auto module = in_double(small(causal));
    const auto x = random(6), context = random(9);
    const auto keep = at::rand({kBatch, 9}).gt(0.4);
    keep[1].fill_(false);  // a sample without keys
    const auto mask = keep.view({kBatch, 1, 1, 9});
    for (const auto type : {at::kBool, at::kByte, at::kLong, at::kFloat, at::kBFloat16}) {
      expect_formula(module, x, {.context = context, .mask = keep.to(type)}, mask);
    }
    const auto rows = at::rand({kBatch, 6, 9}).gt(0.5);
    expect_formula(module, x, {.context = context, .mask = rows}, rows.unsqueeze(1));
    const auto heads = at::rand({1, kHeads, 6, 9}).gt(0.5);
    expect_formula(module, x, {.context = context, .mask = heads}, heads);
    expect_formula(module, x, {.context = context, .mask = heads.narrow(1, 0, 1)}, heads.narrow(1, 0, 1));
  }
}

TEST(FlashAttention, GivesQueriesWithoutKeysNothing) {
  auto module = in_double(small());
  const auto x = random(4);
  const auto output = module->forward(x, {.mask = at::zeros({kBatch, 4}, at::kBool)});
  EXPECT_EQ(output.abs().max().item<double>(), 0);
  EXPECT_EQ(torch::autograd::grad({output.sum()}, {x})[0].abs().max().item<double>(), 0);
}

TEST(FlashAttention, TakesNoQueriesAndNoKeys) {
  auto module = in_double(small(true));
  EXPECT_EQ(module->forward(random(0), {.context = random(4)}).sizes(), (std::vector<int64_t>{kBatch, 0, kDim}));
  EXPECT_EQ(module->forward(random(4), {.context = random(0)}).abs().max().item<double>(), 0);
}

TEST(FlashAttention, TakesBucketSizesOfEveryCall) {
  for (const bool causal : {false, true}) {
    auto module = in_double(small(causal));
    const auto x = random(10), context = random(13);
    const auto mask = at::rand({kBatch, 13}).gt(0.3);
    for (const int64_t q_bucket : {0, 1, 2, 10, 512}) {
      for (const int64_t k_bucket : {0, 1, 5, 1024}) {
        expect_formula(module, x,
                       {.context = context, .mask = mask, .q_bucket_size = q_bucket, .k_bucket_size = k_bucket},
                       mask.view({kBatch, 1, 1, 13}));
      }
    }
  }
}

TEST(FlashAttention, ComputesInHalfPrecisionWithMasksAndCausally) {
  for (const auto type : {HalfPrecision::bfloat16, HalfPrecision::float16}) {
    for (const bool causal : {false, true}) {
      auto options = small(causal);
      options.mixed_precision = true;
      options.mixed_precision_type = type;
      at::manual_seed(3);
      FlashAttention mixed(options);
      auto exact = in_double(small(causal));
      const auto x = random(40), context = random(50);
      const auto mask = at::rand({kBatch, 50}).gt(0.3);
      mask[2].fill_(false);
      const auto run = [&](FlashAttention& module, at::ScalarType dtype) {
        const auto inputs = x.detach().to(dtype).requires_grad_();
        const auto output = module->forward(inputs, {.context = context.detach().to(dtype), .mask = mask});
        EXPECT_EQ(output.scalar_type(), dtype);
        return std::pair{output, torch::autograd::grad({output.square().sum()}, {inputs})[0]};
      };
      const auto [output, gradient] = run(mixed, at::kFloat);
      const auto [expected, wanted] = run(exact, at::kDouble);
      const double unit = type == HalfPrecision::bfloat16 ? 0x1p-8 : 0x1p-11;
      const auto error = [](const at::Tensor& a, const at::Tensor& b) {
        return ((a - b).norm() / b.norm()).item<double>();
      };
      EXPECT_LT(error(output, expected), 2 * unit);
      EXPECT_GT(error(output, expected), unit / 100) << "it was not computed in half precision";
      EXPECT_LT(error(gradient, wanted), 4 * unit);
    }
  }
}

TEST(FlashAttention, RunsAsAModuleOfHalfPrecision) {
  for (const auto type : {at::kBFloat16, at::kHalf}) {
    auto module = in_double(small(true));
    const auto x = random(9);
    const auto expected = module->forward(x);
    module->to(type);
    const auto output = module->forward(x.to(type));
    EXPECT_EQ(output.scalar_type(), type);
    EXPECT_LT(((output.to(at::kDouble) - expected).norm() / expected.norm()).item<double>(), 0.02);
  }
}

TEST(FlashAttention, SplitsTheBatchOverDevices) {
  const at::Device cpu(at::kCPU);
  auto options = small(true);
  options.parallel = true;
  for (const size_t devices : {0, 1, 2, 3, 5}) {
    auto module = in_double(options);
    module->set_devices(std::vector<at::Device>(devices, cpu));
    for (const int64_t batch : {1, 3, 4}) {
      SCOPED_TRACE(testing::Message() << "batch " << batch << " on " << devices << " devices");
      const auto mask = at::rand({batch, 8}).gt(0.3), shared = at::rand({1, kHeads, 6, 8}).gt(0.3);
      expect_formula(module, random(6, batch), {.context = random(8, batch), .mask = mask},
                     mask.view({batch, 1, 1, 8}));
      expect_formula(module, random(6, batch), {.context = random(8, batch), .mask = shared}, shared);
      expect_formula(module, random(6, batch), {});
    }
  }
}

TEST(FlashAttention, HasTheParametersOfTheOriginalDrawnInItsOrder) {
  at::manual_seed(11);
  FlashAttention module(small());
  at::manual_seed(11);
  for (const auto& item : module->named_parameters()) {
    const auto sizes = item.value().sizes();
    const torch::nn::Linear drawn(torch::nn::LinearOptions(sizes[1], sizes[0]).bias(false));
    EXPECT_TRUE(at::equal(item.value(), drawn->weight)) << item.key();
  }
  EXPECT_EQ(module->named_parameters().keys(),
            (std::vector<std::string>{"to_q.weight", "to_kv.weight", "to_out.weight"}));
}

TEST(FlashAttention, NamesWhatItRefuses) {
  EXPECT_THAT(refusal([] { FlashAttention module(FlashAttentionOptions{}); }), HasSubstr("dim must be at least 1"));
  auto options = small();
  options.k_bucket_size = -1;
  EXPECT_THAT(refusal([&] { FlashAttention module(options); }), HasSubstr("k_bucket_size must be at least 0; got -1"));
  auto module = in_double(small());
  const auto x = random(5);
  const auto message = [&](const at::Tensor& input, const FlashAttentionInputs& inputs) {
    return refusal([&] { module->forward(input, inputs); });
  };
  EXPECT_THAT(message(x.narrow(2, 0, 6), {}), HasSubstr("x must be [B, N, 7]; got [3, 5, 6]"));
  EXPECT_THAT(message(x, {.context = x.narrow(0, 0, 2)}), HasSubstr("context must be [3, M, 7]; got [2, 5, 7]"));
  EXPECT_THAT(message(x, {.mask = at::ones({3, 4})}), HasSubstr("mask must be [B, M]"));
  EXPECT_THAT(message(x, {.mask = at::ones({5})}), HasSubstr("got [5]"));
  EXPECT_THAT(message(x, {.q_bucket_size = -2}), HasSubstr("got q_bucket_size -2"));
}

}  // namespace
}  // namespace perceive::nn
