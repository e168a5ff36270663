// zeta's FlashAttentionTwo: the original's numbers, masks, quirks and refusals.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>

#include "perceive/models/catalog.h"
#include "perceive/models/dialects/zeta/flash_attention_two.h"
#include "tests/refusal.h"

namespace perceive::models::zeta {
namespace {

using testing::HasSubstr;

FlashAttentionTwoConfig small(bool causal = false) {
  return {.dim = 8, .heads = 2, .dim_head = 4, .causal = causal, .q_bucket_size = 3, .k_bucket_size = 4};
}

// ---- Golden values

at::Tensor sines(at::IntArrayRef sizes, double factor, double phase) {
  return (at::arange(c10::multiply_integers(sizes), at::kDouble) * factor + phase).sin().view(sizes);
}

void expect_record(const at::Tensor& actual, const nlohmann::json& expected, const std::string& what) {
  const auto values = actual.detach().to(at::kDouble);
  ASSERT_EQ(values.sizes().vec(), expected.at("shape").get<std::vector<int64_t>>()) << what;
  const double l2 = expected.at("l2"), scale = std::max(1.0, l2);
  EXPECT_NEAR(values.norm().item<double>(), l2, 2e-6 * scale) << what;
  EXPECT_NEAR(values.sum().item<double>(), expected.at("sum").get<double>(), 2e-5 * scale) << what;
  const std::vector<double> first = expected.at("first");
  for (size_t i = 0; i < first.size(); ++i) {
    EXPECT_NEAR(values.flatten()[static_cast<int64_t>(i)].item<double>(), first[i], 2e-6 * scale) << what << " " << i;
  }
}

// Output and gradients of a case, as the original has them in float32.
void expect_golden(const std::string& name, int64_t queries, int64_t keys, const at::Tensor& mask = {}) {
  std::ifstream file(PERCEIVE_ROOT "/tests/golden/flash_attention_two.json");
  const auto expected = nlohmann::json::parse(file).at(name);
  for (const auto type : {at::kFloat, at::kDouble}) {
    FlashAttentionTwo model(small(expected.at("cfg").value("causal", false)));
    model->to(type);
    const auto weights = model->named_parameters();
    {
      const at::NoGradGuard no_grad;
      double index = 0;
      for (auto parameter : model->parameters()) {
        parameter.copy_(0.5 * sines(parameter.sizes(), 0.37, 1.3 * index++));
      }
    }
    const auto x = sines({2, queries, 8}, 0.11, 0.5).to(type).requires_grad_();
    nn::FlashAttentionInputs inputs{.mask = mask};
    if (expected.contains("dctx")) inputs.context = sines({2, keys, 8}, 0.11, 0.9).to(type).requires_grad_();
    const auto output = model->forward(x, inputs);
    expect_record(output, expected.at("out"), "out");
    (output * sines(output.sizes(), 0.11, 1.1)).sum().backward();
    expect_record(x.grad(), expected.at("dx"), "dx");
    expect_record(weights["to_q.weight"].grad(), expected.at("dto_q"), "dto_q");
    expect_record(weights["to_kv.weight"].grad(), expected.at("dto_kv"), "dto_kv");
    if (inputs.context.defined()) expect_record(inputs.context.grad(), expected.at("dctx"), "dctx");
  }
}

TEST(FlashAttentionTwoGolden, Self) {
  expect_golden("self", 10, 10);
}
TEST(FlashAttentionTwoGolden, SelfCausal) {
  expect_golden("self_causal", 10, 10);
}
TEST(FlashAttentionTwoGolden, SelfMask) {
  const auto mask = at::tensor({1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 1, 1}).view({2, 10});
  expect_golden("self_mask", 10, 10, mask.to(at::kBool));
}
TEST(FlashAttentionTwoGolden, Cross) {
  expect_golden("cross", 6, 10);
}
TEST(FlashAttentionTwoGolden, CrossCausalQuirk) {
  expect_golden("cross_causal_quirk", 6, 10);
}
TEST(FlashAttentionTwoGolden, CrossCausalMoreQueriesThanKeys) {
  expect_golden("cross_causal_nqgtnk", 10, 6);
}
TEST(FlashAttentionTwoGolden, AllMasked) {
  expect_golden("all_masked", 10, 10, at::zeros({2, 10}, at::kBool));
}

// ---- The rule, written down densely

// Output and the gradients of x, context and the three weights by the steps of the original for one bucket that holds
// everything: a finite fill for causal attention, zeros for the mask, and a backward pass from a log-sum-exp beside
// which a number of keys is lost. mask: broadcastable to [B, H, N, M].
std::vector<at::Tensor> dense(FlashAttentionTwo& model, const at::Tensor& x, const at::Tensor& context,
                              const at::Tensor& mask, const at::Tensor& weights) {
  const at::NoGradGuard no_grad;
  const auto& options = model->options();
  const auto p = model->named_parameters();
  const auto heads = [&](const at::Tensor& y) {
    return y.view({y.size(0), y.size(1), options.heads, -1}).transpose(1, 2);
  };
  const auto both = at::linear(context, p["to_kv.weight"]).chunk(2, -1);
  const auto q = heads(at::linear(x, p["to_q.weight"])), k = heads(both[0]), v = heads(both[1]);
  const int64_t queries = x.size(1), keys = context.size(1);
  const double scale = 1 / std::sqrt(static_cast<double>(options.dim_head));

  auto scores = at::matmul(q, k.transpose(2, 3)) * scale;
  if (options.causal) {
    const auto later = at::ones({queries, keys}, at::kBool).triu(1 - std::max<int64_t>(keys - queries, 0));
    scores = scores.masked_fill(later, std::numeric_limits<double>::lowest());
  }
  const auto keep = mask.defined() ? mask : at::ones({1, 1, 1, 1}, at::kBool);
  const auto highest = scores.masked_fill(~keep, std::numeric_limits<double>::lowest()).amax(-1, true);
  const auto sum = ((scores - highest).exp() * keep).nan_to_num(0, 0, 0).sum(-1, true).clamp_min(1e-10);
  const auto out = at::matmul(((scores - highest).exp() * keep).nan_to_num(0, 0, 0), v) / sum;
  const auto flat = out.transpose(1, 2).flatten(2);
  const auto d_out = heads(at::matmul(weights, p["to_out.weight"]));
  const auto shares = ((scores - (sum.log() + highest)).exp() * keep).nan_to_num(0, 0, 0);
  const auto d_scores = shares * (at::matmul(d_out, v.transpose(2, 3)) - (d_out * out).sum(-1, true)) * scale;
  const auto dq = at::matmul(d_scores, k).transpose(1, 2).flatten(2);
  const auto dk = at::matmul(d_scores.transpose(2, 3), q).transpose(1, 2).flatten(2);
  const auto dkv = at::cat({dk, at::matmul(shares.transpose(2, 3), d_out).transpose(1, 2).flatten(2)}, -1);
  const auto sum_of = [](const at::Tensor& a, const at::Tensor& b) { return at::einsum("bni,bnj->ij", {a, b}); };
  return {at::linear(flat, p["to_out.weight"]),
          at::matmul(dq, p["to_q.weight"]),
          at::matmul(dkv, p["to_kv.weight"]),
          sum_of(dq, x),
          sum_of(dkv, context),
          sum_of(weights, flat)};
}

std::vector<at::Tensor> computed(FlashAttentionTwo& model, const at::Tensor& x, const nn::FlashAttentionInputs& inputs,
                                 const at::Tensor& weights) {
  const auto output = model->forward(x, inputs);
  auto leaves = model->parameters();
  leaves.insert(leaves.begin(), {x, inputs.context});
  auto all = torch::autograd::grad({output}, leaves, {weights});
  all.insert(all.begin(), output.detach());
  return all;
}

void expect_same(const std::vector<at::Tensor>& actual, const std::vector<at::Tensor>& expected) {
  const char* names[] = {"output", "x", "context", "to_q", "to_kv", "to_out"};
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_LT((actual[i] - expected[i]).abs().max().item<double>(),
              1e-8 * std::max(1.0, expected[i].abs().max().item<double>()))
        << names[i];
  }
}

at::Tensor random(int64_t length) {
  return at::randn({2, length, 8}, at::kDouble).requires_grad_();
}

struct Lengths {
  int64_t queries, keys;
};
class FlashAttentionTwoRule : public testing::TestWithParam<std::tuple<Lengths, bool>> {};

TEST_P(FlashAttentionTwoRule, HoldsForMasksAndBucketsOfEverySize) {
  const auto [lengths, causal] = GetParam();
  const auto [queries, keys] = lengths;
  at::manual_seed(5);
  FlashAttentionTwo model(small(causal));
  model->to(at::kDouble);
  const auto x = random(queries), context = random(keys), weights = at::randn({2, queries, 8}, at::kDouble);
  auto holes = at::rand({2, 1, 1, keys}).gt(0.5);
  holes[1].narrow(2, 0, keys / 2 + 1).fill_(false);
  auto rows = at::rand({2, 1, queries, keys}).gt(0.6);
  rows[0][0][0].fill_(false);
  for (const auto& mask : {at::Tensor(), holes, holes.logical_and(at::tensor({0, 1}).to(at::kBool).view({2, 1, 1, 1})),
                           rows, at::rand({1, 2, queries, keys}).gt(0.4), at::ones({2, 1, queries, 1}, at::kBool)}) {
    const auto expected = dense(model, x, context, mask, weights);
    for (const auto& [q_bucket, k_bucket] : {Lengths{1, 1}, Lengths{3, 4}, Lengths{5, 2}, Lengths{512, 1024}}) {
      SCOPED_TRACE(testing::Message() << "mask " << mask.sizes() << ", buckets of " << q_bucket << ", " << k_bucket);
      expect_same(
          computed(model, x, {.context = context, .mask = mask, .q_bucket_size = q_bucket, .k_bucket_size = k_bucket},
                   weights),
          expected);
    }
  }
}

std::string name_of(const testing::TestParamInfo<std::tuple<Lengths, bool>>& info) {
  const auto& [lengths, causal] = info.param;
  return std::to_string(lengths.queries) + "Queries" + std::to_string(lengths.keys) + "Keys" + (causal ? "Causal" : "");
}
INSTANTIATE_TEST_SUITE_P(, FlashAttentionTwoRule,
                         testing::Combine(testing::Values(Lengths{1, 1}, Lengths{7, 7}, Lengths{6, 11}, Lengths{3, 13},
                                                          Lengths{11, 5}, Lengths{1, 6}, Lengths{6, 1}),
                                          testing::Bool()),
                         name_of);

// ---- Masks of other lengths

class FlashAttentionTwoMask : public testing::TestWithParam<bool> {
 protected:
  FlashAttentionTwoMask() {
    at::manual_seed(6);
    model = FlashAttentionTwo(small(GetParam()));
    model->to(at::kDouble);
    x = random(7);
    context = random(10);
    weights = at::randn({2, 7, 8}, at::kDouble);
  }
  std::vector<at::Tensor> run(const at::Tensor& mask) {
    return computed(model, x, {.context = context, .mask = mask}, weights);
  }
  FlashAttentionTwo model{nullptr};
  at::Tensor x, context, weights;
};
INSTANTIATE_TEST_SUITE_P(, FlashAttentionTwoMask, testing::Bool(),
                         [](const auto& info) { return info.param ? "Causal" : "Plain"; });

TEST_P(FlashAttentionTwoMask, ThatEndsWithABucketEndsTheKeys) {
  const auto mask = at::rand({2, 8}).gt(0.4);  // two buckets of four, of ten keys
  expect_same(run(mask), run(at::constant_pad_nd(mask, {0, 2}, false)));
}

TEST_P(FlashAttentionTwoMask, OfFewerRowsGivesTheOtherQueriesZeros) {
  const auto mask = at::rand({2, 1, 6, 10}).gt(0.4);  // two buckets of three, of seven queries
  const auto result = run(mask);
  EXPECT_EQ(result[0].narrow(1, 6, 1).abs().max().item<double>(), 0);
  EXPECT_EQ(result[1].narrow(1, 6, 1).abs().max().item<double>(), 0);
  const auto whole = run(at::constant_pad_nd(mask, {0, 0, 0, 1}, true));
  EXPECT_TRUE(at::allclose(result[0].narrow(1, 0, 6), whole[0].narrow(1, 0, 6)));
}

TEST_P(FlashAttentionTwoMask, MayBeLongerThanWholeBuckets) {
  context = random(8);
  const auto mask = at::rand({2, 9}).gt(0.4);
  expect_same(run(mask), run(mask.narrow(1, 0, 8)));
}

TEST_P(FlashAttentionTwoMask, OfThreeDimensionsBeginsWithHeads) {
  const auto mask = at::rand({2, 7, 10}).gt(0.4);
  expect_same(run(mask), run(mask.unsqueeze(0)));
}

TEST_P(FlashAttentionTwoMask, TakesWholeNumbers) {
  const auto mask = at::rand({2, 10}).gt(0.4);
  expect_same(run(mask.to(at::kLong)), run(mask));
}

// ---- The rest

TEST(FlashAttentionTwo, SplitsTheBatchWhereItIsParallel) {
  at::manual_seed(7);
  auto config = small(true);
  FlashAttentionTwo one(config);
  config.parallel = true;
  FlashAttentionTwo several(config);
  several->set_devices({at::Device(at::kCPU), at::Device(at::kCPU)});
  for (auto* model : {&one, &several}) (*model)->to(at::kDouble);
  {
    const at::NoGradGuard no_grad;
    for (const auto& item : one->named_parameters()) several->named_parameters()[item.key()].copy_(item.value());
  }
  const auto x = random(5), context = random(8), weights = at::randn({2, 5, 8}, at::kDouble);
  for (const auto& mask : {at::Tensor(), at::rand({2, 8}).gt(0.5), at::rand({2, 5, 8}).gt(0.5)}) {
    const nn::FlashAttentionInputs inputs{.context = context, .mask = mask};
    expect_same(computed(several, x, inputs, weights), computed(one, x, inputs, weights));
  }
}

TEST(FlashAttentionTwo, TakesNoQueries) {
  for (const bool causal : {false, true}) {
    FlashAttentionTwo model(small(causal));
    const auto output = model->forward(at::ones({2, 0, 8}), {.context = at::ones({2, 5, 8})});
    EXPECT_EQ(output.sizes(), (std::vector<int64_t>{2, 0, 8}));
  }
}

TEST(FlashAttentionTwo, IsNotTouchedByMixedPrecision) {
  auto config = small(true);
  at::manual_seed(8);
  FlashAttentionTwo plain(config);
  config.mixed_precision = true;
  at::manual_seed(8);
  FlashAttentionTwo mixed(config);
  const auto x = at::randn({2, 6, 8});
  EXPECT_TRUE(at::equal(plain->forward(x), mixed->forward(x)));
}

TEST(FlashAttentionTwo, NamesWhatItRefuses) {
  EXPECT_THAT(refusal([] { FlashAttentionTwo model(FlashAttentionTwoConfig{}); }),
              HasSubstr("dim must be at least 1; got 0"));
  FlashAttentionTwo model(small());
  const auto x = at::randn({2, 7, 8});
  const auto message = [&](const nn::FlashAttentionInputs& inputs) {
    return refusal([&] { model->forward(x, inputs); });
  };
  EXPECT_THAT(message({.mask = at::ones({2, 7})}), HasSubstr("mask must be bool"));
  EXPECT_THAT(message({.mask = at::ones({7}, at::kBool)}), HasSubstr("mask must be [B, M]"));
  EXPECT_THAT(message({.mask = at::ones({3, 7, 7}, at::kBool)}), HasSubstr("H = 2"));
  EXPECT_THAT(message({.mask = at::ones({2, 5}, at::kBool)}), HasSubstr("for 5 keys where there are 7"));
  EXPECT_THAT(message({.mask = at::ones({2, 0}, at::kBool)}), HasSubstr("for 0 keys where there are 7"));
  EXPECT_THAT(message({.mask = at::ones({2, 1, 8, 7}, at::kBool)}), HasSubstr("for 8 queries where there are 7"));
  EXPECT_THAT(message({.q_bucket_size = 0}), HasSubstr("bucket sizes must be at least 1; got q_bucket_size 0"));
  EXPECT_THAT(message({.k_bucket_size = -1}), HasSubstr("and k_bucket_size -1"));
  EXPECT_THAT(message({.context = at::randn({2, 0, 8})}), HasSubstr("the context is empty"));
  model->to(at::kBFloat16);
  EXPECT_THAT(refusal([&] { model->forward(x.to(at::kBFloat16)); }), HasSubstr("float32 or float64"));
}

// ---- By name

LoadedModel load(const std::string& name, nlohmann::json args, const io::Tensors& weights,
                 nlohmann::json flags = nlohmann::json::object()) {
  return load_model({{"class", name}, {"args", std::move(args)}, {"args_forward", std::move(flags)}}, "M.json",
                    &weights, "W");
}

TEST(FlashAttentionClasses, AreCalledByTheNamesOfTheOriginal) {
  const nlohmann::json args{{"dim", 8}, {"heads", 2}, {"dim_head", 4}, {"q_bucket_size", 3}, {"k_bucket_size", 4}};
  at::manual_seed(9);
  const io::Tensors weights{
      {"to_q.weight", at::randn({8, 8})}, {"to_kv.weight", at::randn({16, 8})}, {"to_out.weight", at::randn({8, 8})}};
  const auto dialect = load("zeta.FlashAttentionTwo", args, weights, {{"q_bucket_size", 2}, {"k_bucket_size", 5}});
  const io::Tensors inputs{
      {"x", at::randn({2, 6, 8})}, {"context", at::randn({2, 10, 8})}, {"mask", at::rand({2, 10}).gt(0.5)}};
  const auto run = [](const LoadedModel& loaded, const io::Tensors& given) {
    return loaded.model->forward(TensorArguments(given, loaded.model->tensor_arguments(), "IN")).at(0).second;
  };
  const auto output = run(dialect, inputs);
  const auto described = dialect.model->native();
  ASSERT_TRUE(described);
  const auto native = load("perceive.FlashAttention", described->description.at("args"), described->tensors);
  EXPECT_TRUE(at::allclose(run(native, inputs), output, 1e-5, 1e-6));
  // Half a bucket of keys is missing for buckets of five, none for those of four.
  const io::Tensors shorter{
      {"x", inputs.at("x")}, {"context", inputs.at("context")}, {"mask", at::ones({2, 8}, at::kBool)}};
  EXPECT_THAT(refusal([&] { run(dialect, shorter); }), HasSubstr("whole buckets, here of 5"));
  EXPECT_EQ(run(load("zeta.FlashAttentionTwo", args, weights), shorter).size(1), 6);
}

TEST(FlashAttentionClasses, HaveNoNativeFormWhereCausalMeansSomethingElse) {
  const auto model =
      load_model({{"class", "zeta.FlashAttentionTwo"}, {"args", {{"dim", 8}, {"causal", true}}}}, "M.json");
  EXPECT_FALSE(model.model->native());
}

}  // namespace
}  // namespace perceive::models::zeta
