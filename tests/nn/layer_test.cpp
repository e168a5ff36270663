// Attention, layers, encoder and adapters against plain formulas, and their refusals.
#include "perceive/nn/layer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "perceive/core/error.h"
#include "perceive/nn/encoder.h"
#include "perceive/nn/input_adapter.h"
#include "perceive/nn/output_adapter.h"
#include "tests/refusal.h"

namespace perceive::nn {
namespace {

using testing::AllOf;
using testing::HasSubstr;

at::Tensor bools(std::vector<int64_t> values) {
  return at::tensor(values).to(at::kBool);
}

at::Tensor parameter(const torch::nn::Module& module, const std::string& name) {
  return module.named_parameters()[name].detach();
}

// The layer written out, with every switch, in the dtype of its parameters; self-attention where x is the context.
at::Tensor formula(const torch::nn::Module& layer, const LayerOptions& o, const at::Tensor& x, at::Tensor context,
                   bool self, const at::Tensor& mask) {
  const auto get = [&](const std::string& name) { return parameter(layer, name); };
  const auto norm = [&](const at::Tensor& t, const std::string& name) {
    return at::layer_norm(t, {t.size(-1)}, get(name + ".weight"), get(name + ".bias"));
  };
  const auto linear = [&](const at::Tensor& t, const std::string& name, bool bias = true) {
    const auto y = at::matmul(t, get(name + ".weight").t());
    return bias ? y + get(name + ".bias") : y;
  };
  const auto heads = [&](const at::Tensor& t) {
    return t.reshape({t.size(0), t.size(1), o.attention.heads, -1}).transpose(1, 2);
  };
  const auto query = o.attention.normalize_query ? norm(x, self ? "attention.norm" : "attention.query_norm") : x;
  if (self)
    context = query;
  else if (o.attention.normalize_context)
    context = norm(context, "attention.context_norm");
  const auto q = heads(linear(query, "attention.query", o.attention.qkv_bias));
  const auto k = heads(linear(context, "attention.key", o.attention.qkv_bias));
  const auto v = heads(linear(context, "attention.value", o.attention.qkv_bias));
  auto scores = at::matmul(q, k.transpose(2, 3)) / std::sqrt(static_cast<double>(q.size(3)));
  if (mask.defined()) scores = scores.masked_fill(mask.logical_not().unsqueeze(1).unsqueeze(1), -INFINITY);
  const auto weights = at::softmax(scores, -1).nan_to_num(0.0);
  auto a = linear(at::matmul(weights, v).transpose(1, 2).flatten(2), "attention.output");
  if (o.attention_residual) a = a + x;
  const auto y = linear(at::gelu(linear(norm(a, "mlp.norm"), "mlp.hidden")), "mlp.output");
  return o.mlp_residual ? y + a : y;
}

// Every switch of a layer by the bits of a number.
LayerOptions switched(int bits) {
  LayerOptions o;
  o.attention.heads = 3;
  o.attention.qk_channels = 9;
  o.attention.v_channels = 15;
  o.attention.normalize_query = bits & 1;
  o.attention.normalize_context = bits & 2;
  o.attention.qkv_bias = bits & 4;
  o.attention_residual = bits & 8;
  o.mlp_residual = bits & 16;
  o.mlp.widening_factor = 2;
  return o;
}

// Weights away from their initial ones and zeros.
void shake(torch::nn::Module& module) {
  const at::NoGradGuard no_grad;
  for (auto& p : module.parameters()) p.copy_(at::randn_like(p) * 0.5 + 0.1);
}

TEST(CrossAttentionLayer, AgreesWithTheFormulaUnderEverySwitch) {
  at::manual_seed(1);
  for (int bits = 0; bits < 32; ++bits) {
    const auto options = switched(bits);
    CrossAttentionLayer layer(options, 7, 5);
    layer->to(at::kDouble);
    shake(*layer);
    const auto x = at::randn({2, 3, 7}, at::kDouble), context = at::randn({2, 11, 5}, at::kDouble);
    const auto mask = at::rand({2, 11}) > 0.4;
    const auto expected = formula(*layer, options, x, context, false, mask);
    EXPECT_TRUE(at::allclose(layer->forward(x, ops::Source::of(context, {}, mask)), expected, 1e-10, 1e-10)) << bits;
    EXPECT_EQ(parameter_count(options, {7, 5}), [&] {
      int64_t n = 0;
      for (const auto& p : layer->parameters()) n += p.numel();
      return n;
    }());
  }
}

TEST(SelfAttentionLayer, AgreesWithTheFormulaUnderEverySwitch) {
  at::manual_seed(2);
  for (int bits = 0; bits < 32; ++bits) {
    const auto options = switched(bits);
    SelfAttentionLayer layer(options, 7);
    layer->to(at::kDouble);
    shake(*layer);
    const auto x = at::randn({2, 5, 7}, at::kDouble);
    EXPECT_TRUE(at::allclose(layer->forward(x), formula(*layer, options, x, x, true, {}), 1e-10, 1e-10)) << bits;
  }
}

TEST(CrossAttentionLayer, LetsOneQueryArrayServeAWholeBatch) {
  CrossAttentionLayer layer(switched(31), 7, 5);
  const auto x = at::randn({1, 3, 7});
  const auto context = ops::Source::of(at::randn({4, 6, 5}));
  EXPECT_TRUE(at::allclose(layer->forward(x, context), layer->forward(x.expand({4, -1, -1}).contiguous(), context),
                           1e-5, 1e-6));
}

TEST(CrossAttentionLayer, TakesExpandedAndNonContiguousInputs) {
  CrossAttentionLayer layer(switched(31), 7, 5);
  const auto x = at::randn({3, 7, 2}).permute({2, 0, 1});
  const auto context = at::randn({1, 5, 6}).transpose(1, 2).expand({2, -1, -1});
  EXPECT_TRUE(at::allclose(layer->forward(x, ops::Source::of(context)),
                           layer->forward(x.contiguous(), ops::Source::of(context.contiguous())), 1e-5, 1e-6));
}

TEST(CrossAttentionLayer, GivesAFullyMaskedSampleTheBiasOnly) {
  auto options = switched(31);
  options.attention_residual = false;
  options.mlp_residual = false;
  CrossAttentionLayer layer(options, 7, 5);
  shake(*layer);
  const auto mask = bools({1, 1, 0, 0, 0, 0}).view({2, 3});
  auto context = at::randn({2, 3, 5});
  context[1].fill_(NAN);
  context[0][2].fill_(NAN);
  const auto x = at::randn({2, 4, 7}).requires_grad_();
  const auto y = layer->forward(x, ops::Source::of(context, {}, mask));
  EXPECT_TRUE(y.isfinite().all().item<bool>());
  EXPECT_TRUE(at::allclose(y[1], y[1][0].unsqueeze(0).expand_as(y[1]), 1e-6, 1e-6));
  y.sum().backward();
  EXPECT_EQ(x.grad()[1].abs().max().item<float>(), 0.0f);
  for (const auto& p : layer->parameters()) EXPECT_TRUE(p.grad().isfinite().all().item<bool>());
}

TEST(CrossAttentionLayer, ReadsAnEmptyContextAsNothing) {
  CrossAttentionLayer layer(switched(31), 7, 5);
  EXPECT_TRUE(
      layer->forward(at::randn({2, 4, 7}), ops::Source::of(at::empty({2, 0, 5}))).isfinite().all().item<bool>());
}

TEST(CrossAttentionLayer, ShowsItsWeights) {
  CrossAttentionLayer layer(switched(31), 7, 5);
  const auto mask = bools({1, 1, 0, 1}).view({1, 4}).expand({2, 4});
  const auto weights = layer->weights(at::randn({1, 3, 7}), ops::Source::of(at::randn({2, 4, 5}), {}, mask));
  EXPECT_EQ(weights.sizes(), at::IntArrayRef({2, 3, 3, 4}));
  EXPECT_TRUE(at::allclose(weights.sum(-1), at::ones({2, 3, 3})));
  EXPECT_EQ(weights.select(3, 2).abs().max().item<float>(), 0.0f);
}

TEST(CrossAttentionLayer, DropsAttentionWeightsInTrainingOnly) {
  LayerOptions options;
  options.attention.dropout = 0.5;
  CrossAttentionLayer layer(options, 8, 5);
  const auto x = at::randn({1, 3, 8});
  const auto context = ops::Source::of(at::randn({2, 9, 5}));
  at::manual_seed(1);
  const auto first = layer->forward(x, context), second = layer->forward(x, context);
  EXPECT_FALSE(at::equal(first, second));
  at::manual_seed(1);
  EXPECT_TRUE(at::equal(layer->forward(x, context), first));
  layer->eval();
  EXPECT_TRUE(at::equal(layer->forward(x, context), layer->forward(x, context)));
}

TEST(CrossAttentionLayer, NamesWhatDoesNotFit) {
  CrossAttentionLayer layer(LayerOptions{}, 8, 5);
  const auto context = ops::Source::of(at::randn({2, 9, 5}));
  EXPECT_THAT(refusal([&] {
                layer->forward(at::randn({2, 3, 7}), context);
              }),
              AllOf(HasSubstr("query input must be [B, N, 8]"), HasSubstr("[2, 3, 7]")));
  EXPECT_THAT(refusal([&] { layer->forward(at::randn({3, 3, 8}), context); }), HasSubstr("3 query arrays"));
  EXPECT_THAT(refusal([&] {
                layer->forward(at::randn({2, 3, 8}), ops::Source::of(at::randn({2, 9, 4})));
              }),
              AllOf(HasSubstr("the context has 4 channels"), HasSubstr("5 were expected")));
}

TEST(LayerOptions, RefuseWhatCannotBeBuilt) {
  const auto with = [](auto&& change) {
    LayerOptions o;
    change(o);
    return refusal([&] { CrossAttentionLayer(o, 8, 5); });
  };
  EXPECT_THAT(with([](auto& o) { o.attention.heads = 3; }),
              HasSubstr("qk_channels must be divisible by heads; got 8 channels for 3 heads"));
  EXPECT_THAT(with([](auto& o) { o.attention.heads = 0; }), HasSubstr("heads must be at least 1; got 0"));
  EXPECT_THAT(with([](auto& o) { o.attention.v_channels = -4; }), HasSubstr("v_channels must be at least 1; got -4"));
  EXPECT_THAT(with([](auto& o) { o.attention.dropout = 1.0; }), HasSubstr("dropout is a probability"));
  EXPECT_THAT(with([](auto& o) { o.residual_dropout = NAN; }), HasSubstr("residual_dropout is a probability"));
  EXPECT_THAT(with([](auto& o) { o.mlp.widening_factor = 0; }), HasSubstr("widening_factor must be at least 1"));
  EXPECT_THAT(with([](auto& o) { o.attention.output_channels = 6; }),
              HasSubstr("output_channels must be 8, the channels of the query input, where attention_residual is on"));
}

TEST(Encoder, CountsItsParametersWithoutBuildingThem) {
  EncoderOptions options;
  options.num_latents = 3;
  options.num_latent_channels = 8;
  for (const int64_t blocks : {1, 3}) {
    for (const bool shared : {false, true}) {
      options.num_cross_layers = (blocks + 1) / 2;
      options.num_self_blocks = blocks;
      options.first_cross_layer_shared = shared;
      options.first_self_block_shared = shared;
      int64_t count = 0;
      for (const auto& p : Encoder(options, 5)->parameters()) count += p.numel();
      EXPECT_EQ(parameter_count(options, 5), count);
    }
  }
}

TEST(Encoder, SharesTheWeightsOfLaterLayers) {
  EncoderOptions options;
  options.num_latents = 3;
  options.num_latent_channels = 8;
  options.num_cross_layers = 2;
  options.num_self_blocks = 4;
  options.num_self_layers_per_block = 1;
  options.first_self_block_shared = false;
  Encoder encoder(options, 5);
  std::set<std::string> children;
  for (const auto& child : encoder->named_children()) children.insert(child.key());
  EXPECT_EQ(children, (std::set<std::string>{"cross", "block", "first_cross", "first_block"}));

  // The same layers called by hand, in the order of the paper's figure.
  const auto source = ops::Source::of(at::randn({2, 7, 5}));
  const auto cross = [&](const char* name, const at::Tensor& z) {
    return std::dynamic_pointer_cast<CrossAttentionLayerImpl>(encoder->named_children()[name])->forward(z, source);
  };
  const auto block = [&](const char* name, const at::Tensor& z) {
    return std::dynamic_pointer_cast<SelfAttentionBlockImpl>(encoder->named_children()[name])->forward(z);
  };
  auto z = parameter(*encoder, "latents").unsqueeze(0);
  z = block("first_block", cross("first_cross", z));
  z = block("block", cross("cross", z));
  z = block("block", block("block", z));
  EXPECT_TRUE(at::allclose(encoder->forward(source), z));
  EXPECT_TRUE(at::equal(encoder->forward_with_weights(source).first, encoder->forward(source)));
}

TEST(ImageInput, DescribesPixelsWithoutCopyingThem) {
  ImageInput input(ImageInputOptions{{4, 5, 2}, 3});
  const auto images = at::randn({3, 4, 5, 2});
  const auto source = input->source(images);
  EXPECT_EQ(source.values.data_ptr(), images.data_ptr());
  EXPECT_EQ(source.values.sizes(), at::IntArrayRef({3, 20, 2}));
  EXPECT_EQ(source.width(), 16);
  EXPECT_EQ(input->width(), 16);
  EXPECT_TRUE(input->parameters().empty());
}

TEST(ImageInput, FollowsTheDtypeOfItsImages) {
  ImageInput input(ImageInputOptions{{4, 5, 2}, 3});
  const auto before = input->positions().axes[0].clone();
  EXPECT_EQ(input->source(at::randn({1, 4, 5, 2}, at::kDouble)).positions.axes[1].scalar_type(), at::kDouble);
  EXPECT_EQ(input->source(at::randn({1, 4, 5, 2}).to(at::kBFloat16)).positions.axes[0].scalar_type(), at::kBFloat16);
  const auto again = input->source(at::randn({1, 4, 5, 2})).positions.axes[0];
  EXPECT_TRUE(at::equal(again, before));
}

TEST(ImageInput, TakesMasksOfPixels) {
  ImageInput input(ImageInputOptions{{2, 3, 1}, 1});
  const auto mask = bools({1, 0, 1, 1, 1, 0}).view({1, 2, 3});
  EXPECT_TRUE(at::equal(input->source(at::zeros({1, 2, 3, 1}), mask).mask, mask.view({1, 6})));
  EXPECT_TRUE(at::equal(input->source(at::zeros({1, 2, 3, 1}), mask.view({1, 6})).mask, mask.view({1, 6})));
}

TEST(ImageInput, NamesWhatDoesNotFit) {
  ImageInput input(ImageInputOptions{{4, 5, 2}, 3});
  const auto message = [&](at::IntArrayRef shape) { return refusal([&] { input->source(at::zeros(shape)); }); };
  EXPECT_THAT(message({2, 4, 6, 2}), HasSubstr("image: expected [B, 4, 5, 2] (channels last); got [2, 4, 6, 2]"));
  EXPECT_THAT(message({4, 5, 2}), HasSubstr("got [4, 5, 2]"));
  EXPECT_THAT(message({0, 4, 5, 2}), HasSubstr("image: the batch is empty"));
  EXPECT_THAT(refusal([&] {
                input->source(at::zeros({1, 4, 5, 2}, at::kByte));
              }),
              HasSubstr("expected floating-point pixels"));
  EXPECT_THAT(refusal([&] {
                input->source(at::zeros({1, 4, 5, 2}), at::ones({1, 19}, at::kBool));
              }),
              AllOf(HasSubstr("mask: expected [B, 20]"), HasSubstr("[1, 19]")));
  EXPECT_THAT(refusal([&] {
                input->source(at::zeros({1, 4, 5, 2}), at::ones({1, 20}));
              }),
              HasSubstr("mask: expected bool"));
}

TEST(ImageInputOptions, RefuseWhatIsNoImage) {
  const auto message = [](std::vector<int64_t> shape, int64_t bands) {
    return refusal([&] { ImageInput(ImageInputOptions{shape, bands}); });
  };
  EXPECT_THAT(message({3}, 4), HasSubstr("shape must hold at least one size"));
  EXPECT_THAT(message({4, 0, 3}, 4), HasSubstr("shape must be at least 1; got 0"));
  EXPECT_THAT(message({4, 4, 3}, 0), HasSubstr("frequency_bands must be at least 1; got 0"));
  EXPECT_THAT(message({int64_t{1} << 40, int64_t{1} << 40, 3}, 4), AllOf(HasSubstr("memory"), HasSubstr("EB")));
}

TEST(ClassificationOutput, KeepsSeveralQueriesApart) {
  ClassificationOutput one(ClassificationOutputOptions{3, 1, 6}), two(ClassificationOutputOptions{3, 2, 6});
  EXPECT_EQ(one->forward(at::zeros({4, 1, 6})).sizes(), at::IntArrayRef({4, 3}));
  EXPECT_EQ(two->forward(at::zeros({4, 2, 6})).sizes(), at::IntArrayRef({4, 2, 3}));
  EXPECT_EQ(two->queries().sizes(), at::IntArrayRef({1, 2, 6}));
}

}  // namespace
}  // namespace perceive::nn
