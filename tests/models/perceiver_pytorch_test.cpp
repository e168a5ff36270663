// perceiver-pytorch: what its models do with masks, histories, dropped elements and wrong arguments.
#include "tests/models/perceiver_pytorch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "perceive/core/config.h"
#include "perceive/models/catalog.h"
#include "tests/peak_memory.h"
#include "tests/refusal.h"

namespace perceive::models::perceiver_pytorch {
namespace {

using testing::AllOf;
using testing::HasSubstr;

// ---- Histories

PerceiverConfig with_residual(int64_t depth) {
  auto config = small<PerceiverConfig>();
  config.depth = depth;
  config.attn_residual = true;
  config.attn_residual_rank = 3;
  return config;
}

TEST(PerceiverPytorchHistory, StartsWithTheLatentsOrAsGiven) {
  auto model = filled<Perceiver>(with_residual(3));
  std::vector<at::Tensor> hiddens;
  const auto plain = model->forward(image(), {.return_hiddens = &hiddens});
  ASSERT_EQ(hiddens.size(), 4U);
  EXPECT_TRUE(hiddens[0].equal(io::named_tensors(*model).at("latents").expand({2, -1, -1})));
  const std::vector<at::Tensor> given{hidden(6), hidden(7)}, copy = given;
  const ForwardOptions options{.block_outputs = given, .return_hiddens = &hiddens};
  EXPECT_FALSE(model->forward(image(), options).allclose(plain));
  ASSERT_EQ(hiddens.size(), 5U);
  EXPECT_TRUE(hiddens[1].is_same(given[1]));
  EXPECT_EQ(options.block_outputs->size(), 2U);
  for (size_t i = 0; i < 2; ++i) EXPECT_TRUE(given[i].equal(copy[i]));
  model->forward(image(), {.block_outputs = std::vector<at::Tensor>{}, .return_hiddens = &hiddens});
  EXPECT_EQ(hiddens.size(), 3U);
}

TEST(PerceiverPytorchHistory, OfNothingLeavesOneLayerAsItIs) {
  auto model = filled<Perceiver>(with_residual(1));
  std::vector<at::Tensor> hiddens;
  const auto output = model->forward(
      image(), {.return_embeddings = true, .block_outputs = std::vector<at::Tensor>{}, .return_hiddens = &hiddens});
  ASSERT_EQ(hiddens.size(), 1U);
  EXPECT_TRUE(output.allclose(hiddens[0], 0, 1e-14));
}

TEST(PerceiverPytorchHistory, OnlyComesBackWithoutResidual) {
  auto model = filled<PerceiverIO>(small_io());
  std::vector<at::Tensor> hiddens;
  const auto plain = model->forward(sequence());
  const std::vector<at::Tensor> odd{golden_input(6, {1, 2})};  // no layer looks at it
  const auto output = model->forward(sequence(), {}, {.block_outputs = odd, .return_hiddens = &hiddens});
  EXPECT_TRUE(output.equal(plain));
  ASSERT_EQ(hiddens.size(), 3U);
  EXPECT_TRUE(hiddens[0].is_same(odd[0]));
  EXPECT_TRUE(hiddens[2].is_same(output));
}

TEST(PerceiverPytorchHistory, MustFit) {
  auto model = filled<Perceiver>(with_residual(2));
  for (const auto& odd : {golden_input(6, {2, 2, 4, 16}), golden_input(6, {1, 4, 16}), golden_input(6, {2, 3, 16})}) {
    EXPECT_THAT(refusal([&] { model->forward(image(), {.block_outputs = std::vector<at::Tensor>{odd}}); }),
                HasSubstr("expected tensors of one shape"));
  }
}

TEST(PerceiverPytorchHistory, GetsGradients) {
  auto model = filled<Perceiver>(with_residual(2));
  auto given = hidden(6).requires_grad_();
  model->forward(image(), {.block_outputs = std::vector<at::Tensor>{given}}).sum().backward();
  EXPECT_GT(given.grad().abs().max().item<double>(), 1e-6);
}

// ---- Structured dropout

TEST(PerceiverPytorchDropout, CountsInSinglePrecision) {
  auto data = at::arange(80, at::kDouble).view({1, 80, 1}).repeat({2, 1, 1});
  auto mask = at::zeros({2, 80}, at::kBool);
  mask[0].narrow(0, 0, 75).fill_(true);
  drop_elements(data, mask, 0.28);
  EXPECT_EQ(data.sizes(), at::IntArrayRef({2, 57, 1}));      // in double: trunc(0.72 · 80)
  EXPECT_EQ(mask.sum(1)[0].item<int64_t>(), 55);             // 54 in double
  EXPECT_EQ(mask.sum(1)[1].item<int64_t>(), 0);              // a fully masked sample stays so
  EXPECT_TRUE(mask[0].narrow(0, 0, 55).all().item<bool>());  // what counts comes first
  EXPECT_LT(data[0].narrow(0, 0, 55).max().item<double>(), 75);
  EXPECT_EQ(std::get<0>(at::_unique(data[0])).numel(), 57);  // each at most once
}

TEST(PerceiverPytorchDropout, DrawsLikeTheOriginal) {
  const auto whole = golden_input(1, {2, 9, 3});
  auto data = whole, mask = at::Tensor();
  at::manual_seed(5);
  drop_elements(data, mask, 0.3);
  at::manual_seed(5);
  const auto chosen = std::get<1>(at::randn({2, 9}).topk(6, -1));
  EXPECT_TRUE(data.equal(whole.gather(1, chosen.unsqueeze(-1).expand({-1, -1, 3}))));
  EXPECT_FALSE(mask.defined());
  data = golden_input(1, {1, 2, 3});
  drop_elements(data, mask, 0.9);
  EXPECT_EQ(data.size(1), 1);  // one is always left
}

TEST(PerceiverPytorchDropout, HappensInTrainingOnly) {
  auto config = small_io();
  config.seq_dropout_prob = 0.5;
  auto model = filled<PerceiverIO>(config);
  EXPECT_TRUE(model->forward(sequence()).equal(filled<PerceiverIO>(small_io())->forward(sequence())));
  model->train();
  EXPECT_FALSE(model->forward(sequence()).allclose(model->forward(sequence())));
  auto of_mlps = small<PerceiverConfig>();
  of_mlps.ff_dropout = 0.5;
  auto perceiver = filled<Perceiver>(of_mlps);
  EXPECT_TRUE(perceiver->forward(image()).equal(perceiver->forward(image())));
  perceiver->train();
  EXPECT_FALSE(perceiver->forward(image()).allclose(perceiver->forward(image())));
}

// ---- Masks, shapes and dtypes

TEST(PerceiverPytorch, GivesWeightsThatSumToOneOrNothing) {
  auto config = small<PerceiverConfig>();
  const auto options = native_options(config);
  nn::Attention attention(options.cross.attention, nn::AttentionWidths{16, 17});
  attention->to(at::kDouble);
  auto context = nn::Context(source(input_options(config), image(), first_masked(), 2));
  const auto uniform = attention->weights(hidden(6), context);
  EXPECT_TRUE(uniform[0].allclose(at::full_like(uniform[0], 1.0 / 6)));
  EXPECT_TRUE(uniform.sum(-1).allclose(at::ones_like(uniform.sum(-1))));
  context.inverted = true;
  const auto inverted = attention->weights(hidden(6), context);
  EXPECT_EQ(inverted[0].abs().max().item<double>(), 0);
  EXPECT_TRUE(inverted[1].sum(-1).allclose(at::ones_like(inverted[1].sum(-1))));
}

TEST(PerceiverPytorch, TakesViewsAndEverySizeOfBatch) {
  auto model = filled<Perceiver>(small_with_two_self());
  const auto data = image();
  const auto output = model->forward(data, {.mask = image_mask()});
  const auto turned = data.permute({3, 2, 1, 0}).contiguous().permute({3, 2, 1, 0});
  EXPECT_TRUE(model->forward(turned, {.mask = image_mask().t().contiguous().t()}).allclose(output, 0, 1e-13));
  const auto one = data.narrow(0, 0, 1), mask = image_mask().narrow(0, 0, 1);
  EXPECT_TRUE(model->forward(one, {.mask = mask}).allclose(output.narrow(0, 0, 1), 0, 1e-13));
  const auto three = model->forward(one.expand({3, -1, -1, -1}), {.mask = mask.expand({3, -1})});
  EXPECT_TRUE(three.allclose(output.narrow(0, 0, 1).expand({3, -1}), 0, 1e-13));
  auto io = filled<PerceiverIO>(small_io());
  const auto same = io->forward(sequence(), queries().unsqueeze(0).expand({2, -1, -1}));
  EXPECT_TRUE(same.allclose(io->forward(sequence(), queries()), 0, 1e-13));
}

// A picture's positions, written out for every pixel, would be nine times the picture.
TEST(PerceiverPytorch, NeverWritesThePositionsOut) {
  PerceiverConfig config = small<PerceiverConfig>();
  config.num_freq_bands = 6;
  Perceiver model(config);
  const auto picture = at::rand({1, 1024, 1024, 3});
  model->forward(picture.slice(1, 0, 64)).sum().backward();  // what stays: gradients, buffers, threads
  const double growth = peak_growth([&] { model->forward(picture).sum().backward(); });
  const double features = 4.0 * 1024 * 1024 * 26;
  EXPECT_LT(growth, features / 2);
}

TEST(PerceiverPytorch, ComputesAlikeInSinglePrecision) {
  for (const bool inverted : {false, true}) {
    auto config = small_with_two_self();
    config.inverted_cross_attn = inverted;
    auto model = filled_as_0_9_0<Perceiver>(config);
    const auto expected = model->forward(image(), {.mask = image_mask()});
    model->to(at::kFloat);
    const auto output = model->forward(image().to(at::kFloat), {.mask = image_mask()}).to(at::kDouble);
    EXPECT_LE((output - expected).abs().max().item<double>(), 1e-5);
  }
}

// Positions in the default dtype: data of a narrower one, pictures of bytes too, are widened to it.
TEST(PerceiverPytorch, WidensTheDataOfTheVariants) {
  auto gated = filled<GatedPerceiver>(small<GatedConfig>());
  gated->to(at::kFloat);
  const auto bytes = (image() * 20 + 100).to(at::kByte);
  EXPECT_TRUE(gated->forward(bytes).equal(gated->forward(bytes.to(at::kFloat))));
  auto main = filled<Perceiver>(small<PerceiverConfig>());
  EXPECT_THAT(refusal([&] { main->forward(bytes); }), HasSubstr("data: expected floating-point numbers; got Byte"));
}

TEST(PerceiverPytorch, LetsOneMaskServeABatchOfOneHead) {
  auto config = small<PerceiverConfig>();
  config.cross_heads = 1;
  auto model = filled<Perceiver>(config);
  const auto one = image_mask().narrow(0, 0, 1);
  EXPECT_TRUE(model->forward(image(), {.mask = one}).equal(model->forward(image(), {.mask = one.expand({2, -1})})));
}

// ---- Refusals

TEST(PerceiverPytorch, NamesWhatDoesNotFit) {
  auto model = filled<Perceiver>(small<PerceiverConfig>());
  const auto refused = [&](const at::Tensor& data, const at::Tensor& mask = {}) {
    return refusal([&] { model->forward(data, {.mask = mask}); });
  };
  EXPECT_THAT(refused(image()[0]), HasSubstr("input data must have the right number of axis"));
  EXPECT_THAT(refused(golden_input(1, {2, 2, 3, 4})), HasSubstr("data: expected 3 channels"));
  EXPECT_THAT(refused(image(), image_mask().to(at::kByte)), HasSubstr("mask: expected bool"));
  EXPECT_THAT(refused(image(), image_mask().narrow(1, 0, 5)), HasSubstr("mask: expected 6 elements a sample"));
  EXPECT_THAT(refused(image(), image_mask().narrow(0, 0, 1)), HasSubstr("fits one head of cross-attention"));
  auto io = filled<PerceiverIO>(small_io());
  EXPECT_THAT(refusal([&] { io->forward(golden_input(1, {2, 5, 7})); }), HasSubstr("data: expected [B, S, 6]"));
  EXPECT_THAT(refusal([&] { io->forward(sequence(), golden_input(3, {3, 9})); }), HasSubstr("queries: expected"));
}

TEST(PerceiverPytorch, NamesTheTokenThatIsNone) {
  auto model = filled<PerceiverLM>(small_lm());
  auto tokens = words();
  EXPECT_TRUE(model->forward(tokens.to(at::kInt)).equal(model->forward(tokens)));
  tokens[1][2] = 11;
  EXPECT_THAT(refusal([&] { model->forward(tokens); }), HasSubstr("the token at [1, 2] is 11; expected 0 to 10"));
  EXPECT_THAT(refusal([&] {
                model->forward(at::zeros({1, 9}, at::kLong));
              }),
              HasSubstr("9 tokens are more than max_seq"));
  EXPECT_THAT(refusal([&] { model->forward(at::zeros({1, 9})); }), HasSubstr("x: expected token ids"));
}

TEST(PerceiverPytorch, NamesWhatABlockLacks) {
  PerceiverBlock block(small_block());
  const auto x = at::zeros({2, 4, 16}), context = at::zeros({2, 5, 16});
  EXPECT_THAT(refusal([&] { block->forward(x); }), HasSubstr("context: this block has cross-attention"));
  EXPECT_THAT(refusal([&] { block->forward(x[0], {context}); }), HasSubstr("x: expected [B, N, 16]"));
  EXPECT_THAT(refusal([&] { block->forward(x, {context[0]}); }), HasSubstr("context: expected [B, S, 16]"));
  const auto mask = at::ones({2, 5}, at::kBool);
  EXPECT_THAT(refusal([&] { block->forward(x, {context, mask.unsqueeze(1)}); }), HasSubstr("mask: expected [B, S]"));
  EXPECT_THAT(refusal([&] { block->forward(x, {context, mask.narrow(1, 0, 4)}); }), HasSubstr("5 elements a sample"));
  EXPECT_THAT(refusal([&] { block->forward(x, {context, mask.to(at::kLong)}); }), HasSubstr("mask: expected bool"));
  auto wide = small_block();
  wide.context_dim = 17;
  EXPECT_THAT(refusal([&] { PerceiverBlock made(wide); }),
              HasSubstr("queries_contribute_kv requires context_dim to equal query_dim"));
  wide.has_cross_attn = false;  // then nothing of the context is looked at
  wide.self_per_cross_attn = 0;
  PerceiverBlock identity(wide);
  EXPECT_TRUE(identity->parameters().empty());
  EXPECT_TRUE(identity->forward(x, {context[0], mask}).equal(x));
}

TEST(PerceiverPytorch, RunsTheExperimentAsFarAsTheOriginal) {
  auto config = small<ExperimentalConfig>();
  auto with_positions = filled<ExperimentalPerceiver>(config);
  EXPECT_EQ(io::named_tensors(*with_positions).at("data_proj.weight").size(0), 20);  // 3 channels, counted twice
  EXPECT_THAT(refusal([&] { with_positions->forward(image()); }),
              AllOf(HasSubstr("cannot run with fourier_encode_data"), HasSubstr("perceiver_pytorch.Perceiver")));
  config.fourier_encode_data = false;
  auto model = filled<ExperimentalPerceiver>(config);
  EXPECT_THAT(refusal([&] { model->forward(image(), image_mask()); }), HasSubstr("with a depth of 1 only"));
  config.depth = 1;
  auto flat = filled<ExperimentalPerceiver>(config);
  EXPECT_FALSE(flat->forward(image(), image_mask()).allclose(flat->forward(image())));
}

// ---- By name and argument

std::string refused(const std::string& name, const nlohmann::json& arguments, const std::string& version = "0.11.0") {
  return refusal([&] {
    load_model({{"class", "perceiver_pytorch." + name}, {"version", version}, {"args", arguments}}, "t");
  });
}

TEST(PerceiverPytorchClasses, RefuseWhatCannotBeBuilt) {
  const nlohmann::json good{{"num_freq_bands", 2}, {"max_freq", 5.0}, {"depth", 2}, {"latent_dim", 8}};
  const auto with = [&](const char* key, const nlohmann::json& value) {
    auto arguments = good;
    arguments[key] = value;
    return arguments;
  };
  EXPECT_EQ(refused("Perceiver", good), "accepted");
  EXPECT_THAT(refused("Perceiver", {{"depth", 2}}), HasSubstr("num_freq_bands is required"));
  EXPECT_THAT(refused("gated.Perceiver", {{"depth", 2}, {"num_freq_bands", 2}}), HasSubstr("max_freq is required"));
  EXPECT_EQ(refused("Perceiver", {{"depth", 2}, {"fourier_encode_data", false}, {"latent_dim", 8}}), "accepted");
  EXPECT_THAT(refused("Perceiver", {{"num_freq_bands", 2}, {"max_freq", 5}}), HasSubstr("depth"));
  EXPECT_THAT(refused("Perceiver", with("inverted_cross_attn", {true})),
              HasSubstr("inverted_cross_attn tuple must have length of depth (2)"));
  EXPECT_THAT(refused("Perceiver", with("inverted_cross_attn", 1)), HasSubstr("inverted_cross_attn"));
  EXPECT_THAT(refused("Perceiver", with("freq_base", 2)), HasSubstr("freq_base"));
  EXPECT_THAT(refused("PerceiverIO", {{"depth", 1}, {"dim", 4}}), HasSubstr("queries_dim"));
  EXPECT_THAT(refused("PerceiverLM", {{"depth", 1}, {"dim", 4}, {"max_seq_len", 4}}), HasSubstr("num_tokens"));
  EXPECT_THAT(refused("PerceiverBlock", nlohmann::json::object()), HasSubstr("dim"));
}

TEST(PerceiverPytorchClasses, KnowWhatEachVersionHas) {
  const nlohmann::json inverted{{"num_freq_bands", 2}, {"max_freq", 5}, {"depth", 1}, {"inverted_cross_attn", true}};
  EXPECT_THAT(refused("Perceiver", inverted, "0.8.8"), HasSubstr("inverted_cross_attn came with version 0.9.0"));
  EXPECT_EQ(refused("Perceiver", inverted, "0.9.0"), "accepted");
  const nlohmann::json residual{{"depth", 1}, {"dim", 2}, {"queries_dim", 2}, {"attn_residual", true}};
  EXPECT_THAT(refused("PerceiverIO", residual, "0.9.0"), HasSubstr("attn_residual came with version 0.10.0"));
  EXPECT_EQ(refused("PerceiverIO", residual, "0.10.0"), "accepted");
  EXPECT_THAT(refused("PerceiverBlock", {{"dim", 2}}, "0.10.1"), HasSubstr("is known here as of 0.11.0"));
  EXPECT_THAT(refused("Perceiver", inverted, "0.7.0"), HasSubstr("0.8.8"));
}

// mixed_latents takes any keyword in the original.
TEST(PerceiverPytorchClasses, IgnoreWhatMixedLatentsIgnores) {
  const nlohmann::json arguments{{"num_freq_bands", 2},
                                 {"max_freq", 5},
                                 {"depth", 1},
                                 {"latent_dim", 8},
                                 {"attn_residual", true},
                                 {"inverted_cross_attn", {true, true}},
                                 {"latent_heads", 0},
                                 {"fourier_encode_data", false}};
  EXPECT_EQ(refused("mixed_latents.Perceiver", arguments), "accepted");
  EXPECT_THAT(refused("mixed_latents.Perceiver", {{"dephts", 1}}), HasSubstr("dephts"));
  EXPECT_THAT(refused("gated.Perceiver", arguments), HasSubstr("attn_residual"));
}

TEST(PerceiverPytorchClasses, RunByNames) {
  const nlohmann::json spec{{"class", "perceiver_pytorch.Perceiver"},
                            {"args",
                             {{"num_freq_bands", 2},
                              {"max_freq", 5},
                              {"depth", 2},
                              {"latent_dim", 8},
                              {"num_latents", 3},
                              {"attn_residual", true}}}};
  const auto run = [&](RunnableModel& model, io::Tensors tensors) {
    tensors["data"] = at::ones({2, 4, 4, 3});
    return model.forward(TensorArguments(tensors, model.tensor_arguments(), "test"));
  };
  const auto model = load_model(spec, "test").model;
  EXPECT_EQ(run(*model, {}).size(), 1U);
  core::assign(model->flags(), core::value_of(nlohmann::json{{"return_hiddens", true}}, "test"));
  EXPECT_EQ(run(*model, {}).size(), 4U);
  EXPECT_EQ(run(*model, {}).back().first, "hiddens.2");
  EXPECT_EQ(run(*model, {{"block_outputs", at::ones({2, 3, 8})}}).size(), 4U);
  const auto two = run(*model, {{"block_outputs.0", at::ones({2, 3, 8})}, {"block_outputs.1", at::ones({2, 3, 8})}});
  EXPECT_EQ(two.size(), 5U);
  core::assign(model->flags(), core::value_of(nlohmann::json{{"no_block_outputs", true}}, "test"));
  EXPECT_EQ(run(*model, {}).size(), 3U);
}

}  // namespace
}  // namespace perceive::models::perceiver_pytorch
