// flash-perceiver 0.2.0: its features by their rows in its specification's table 2.1, where a golden value does not
// show them, and its refusals.
#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/nn/modules/linear.h>

#include <map>

#include "perceive/io/names.h"
#include "perceive/models/dialects/flash_perceiver/perceiver.h"
#include "tests/models/golden.h"
#include "tests/refusal.h"

namespace perceive::models::flash_perceiver {
namespace {

using testing::HasSubstr;

PerceiverConfig small() {
  PerceiverConfig config;
  config.input_dim = 6;
  config.depth = 3;
  config.num_latents = 4;
  config.latent_dim = 16;
  config.cross_heads = 2;
  config.cross_head_dim = 4;
  config.latent_heads = 2;
  config.latent_head_dim = 8;
  config.use_flash_attn = false;
  return config;
}

PerceiverIOConfig small_io() {
  PerceiverIOConfig config;
  static_cast<BaseConfig&>(config) = small();
  config.query_dim = 10;
  config.query_heads = 2;
  config.query_head_dim = 3;
  return config;
}

at::Tensor data() {
  return golden_input(1, {2, 5, 6}).to(at::kFloat);
}

std::string refused(const PerceiverConfig& config) {
  return refusal([&] { Perceiver model(config); });
}
template <class Change>
std::string refused_with(Change change) {
  auto config = small();
  change(config);
  return refused(config);
}

TEST(FlashPerceiver, Row8_FindsHeadsOrTheirWidth) {
  for (const auto& [heads, width, inner] :
       std::vector<std::tuple<std::optional<int64_t>, std::optional<int64_t>, int64_t>>{
           {2, 4, 8}, {4, std::nullopt, 16}, {std::nullopt, 8, 16}, {std::nullopt, 5, 15}, {1, 7, 7}}) {
    auto config = small();
    config.latent_heads = heads;
    config.latent_head_dim = width;
    if (!heads && 16 % (16 / *width) != 0) {
      EXPECT_THAT(refused(config), HasSubstr("embed_dim must be divisible by num_heads"));
      continue;
    }
    Perceiver model(config);
    EXPECT_EQ(io::named_tensors(*model).at("layers.0.1.0.mixer.Wqkv.weight").size(0), 3 * inner);
  }
  EXPECT_THAT(refused_with([](auto& o) { o.cross_heads = o.cross_head_dim = std::nullopt; }),
              HasSubstr("Must specify either num_heads or head_dim"));
}

TEST(FlashPerceiver, Row9_TurnsAnOddNumberOfChannelsUpToTheNextEvenOne) {
  auto config = small();
  config.latent_rotary_emb_dim = 5;
  at::manual_seed(1);
  Perceiver odd(config);
  config.latent_rotary_emb_dim = 6;
  at::manual_seed(1);
  Perceiver even(config);
  const auto a = odd->forward(data()), b = even->forward(data());
  EXPECT_FALSE(at::allclose(a, b));  // as many channels turn, by other angles
  EXPECT_TRUE(a.isfinite().all().item<bool>());
  EXPECT_EQ(io::named_tensors(*odd).size(), io::named_tensors(*even).size());
}

TEST(FlashPerceiver, Row10_RefusesRotaryCrossAttentionAsTheOriginalDoes) {
  EXPECT_THAT(refused_with([](auto& o) { o.cross_rotary_emb_dim = 4; }),
              HasSubstr("MHA with rotary embedding does not support cross-attention yet: cross_rotary_emb_dim"));
  auto config = small_io();
  config.query_rotary_emb_dim = 4;
  EXPECT_THAT(refusal([&] { PerceiverIO model(config); }), HasSubstr("query_rotary_emb_dim"));
}

TEST(FlashPerceiver, Row11_DropsWeightsInTrainingOnly) {
  for (const auto member : {&BaseConfig::cross_attn_dropout, &BaseConfig::latent_attn_dropout}) {
    auto config = small();
    config.*member = 0.5;
    Perceiver model(config);
    EXPECT_FALSE(at::equal(model->forward(data()), model->forward(data())));
    model->eval();
    EXPECT_TRUE(at::equal(model->forward(data()), model->forward(data())));
  }
  auto config = small_io();
  config.query_attn_dropout = 0.5;
  PerceiverIO model(config);
  const auto queries = golden_input(3, {3, 10}).to(at::kFloat);
  EXPECT_FALSE(at::equal(model->forward(data(), queries), model->forward(data(), queries)));
  Perceiver plain(small());
  EXPECT_TRUE(at::equal(plain->forward(data()), plain->forward(data())));
}

TEST(FlashPerceiver, Row12_LeavesOutLatentsAndShufflesTheRest) {
  auto config = small();
  config.num_latents = 10;
  config.latent_drop = 0.5;
  Perceiver model(config);
  EXPECT_EQ(model->forward(data()).sizes(), at::IntArrayRef({2, 5, 16}));
  model->eval();
  EXPECT_EQ(model->forward(data()).size(1), 10);
  // (1 - 0.9) · 10 is below 1 in double.
  config.latent_drop = 0.9;
  Perceiver none(config);
  EXPECT_THAT(refusal([&] { none->forward(data()); }), HasSubstr("leaves none of 10 latents"));
  // The same draws as multinomial of equal weights.
  config.latent_drop = 0.3;
  Perceiver some(config);
  at::manual_seed(5);
  const auto kept = some->forward(data());
  at::manual_seed(5);
  const auto index = at::multinomial(at::full({2, 10}, 0.1), 7, false);
  const auto latents = io::named_tensors(*some).at("latents");
  some->eval();
  const auto chosen = latents.index_select(0, index.flatten()).view({2, 7, 16});
  EXPECT_TRUE(at::allclose(kept, some->forward(data(), {.latents = chosen}), 1e-6, 1e-6));
  EXPECT_THAT(refused_with([](auto& o) { o.latent_drop = 1.0; }), HasSubstr("Drop probability p must be 0 <= p < 1"));
}

TEST(FlashPerceiver, Row13_ReadsOneInputBehindTheFirstBlocksZeroTokens) {
  auto config = small();
  config.num_zero_tokens = 3;
  Perceiver model(config);
  const auto once = model->forward(data());
  const auto listed = model->forward({std::vector<at::Tensor>(3, data())});
  EXPECT_FALSE(at::allclose(once, listed, 1e-3, 1e-3));
  once.sum().backward();
  const auto parameters = model->named_parameters();
  EXPECT_TRUE(parameters["zero_tokens.0"].grad().defined());
  EXPECT_FALSE(parameters["zero_tokens.1"].grad().defined());
  config.num_zero_tokens = 0;
  EXPECT_EQ(io::named_tensors(*Perceiver(config)).count("zero_tokens.0"), 0U);
}

TEST(FlashPerceiver, Row14_TiesAllBlocksButTheFirst) {
  auto config = small();
  config.weight_tie_layers = true;
  config.num_zero_tokens = 2;
  Perceiver model(config);
  EXPECT_EQ(io::named_tensors(*model).size(), 76U);
  EXPECT_EQ(io::distinct_parameters(*model).size(), 52U);
  // A file may name a shared tensor once or under every name.
  Perceiver other(config);
  io::load_into(*other, io::named_tensors(*model), "all names");
  EXPECT_TRUE(at::equal(other->forward(data()), model->forward(data())));
  Perceiver third(config);
  io::load_into(*third, io::distinct_tensors(*model), "first names");
  EXPECT_TRUE(at::equal(third->forward(data()), model->forward(data())));
  auto io_config = small_io();
  io_config.weight_tie_layers = true;  // without effect
  EXPECT_EQ(io::named_tensors(*PerceiverIO(io_config)).size(), io::distinct_parameters(*PerceiverIO(io_config)).size());
}

TEST(FlashPerceiver, Row15_TakesTheWidthOfGatedMlpsFromTheWeights) {
  EXPECT_EQ(gated_hidden(32, 256), 256);
  EXPECT_EQ(gated_hidden(32, 128), 128);
  EXPECT_EQ(gated_hidden(96, 256), 512);
  EXPECT_EQ(gated_hidden(96, 128), 384);
  Perceiver newer(small(), gated_hidden(16, 128));
  const auto tensors = io::named_tensors(*newer);
  EXPECT_EQ(tensors.at("layers.0.0.mlp.fc1.weight").size(0), 256);
  EXPECT_EQ(gated_hidden_of(tensors), 128);
  Perceiver model(small(), gated_hidden_of(tensors));
  model->load_state_dict(tensors, "newer");
  EXPECT_TRUE(at::equal(model->forward(data()), newer->forward(data())));
}

TEST(FlashPerceiver, Row17_LoadsHeadsOfVersionsBefore0_1_10) {
  auto config = small();
  config.output_dim = 5;
  Perceiver model(config), other(config);
  auto tensors = io::named_tensors(*model);
  for (const char* part : {"weight", "bias"}) {
    tensors[std::string("out_proj.2.") + part] = tensors.at(std::string("out_proj.1.") + part);
    tensors[std::string("out_proj.1.") + part] = tensors.at(std::string("out_proj.0.") + part);
    tensors.erase(std::string("out_proj.0.") + part);
  }
  other->load_state_dict(tensors, "older");
  EXPECT_TRUE(at::equal(other->forward(data()), model->forward(data())));
}

TEST(FlashPerceiver, Row18_ReturnsEmbeddings) {
  auto config = small();
  config.output_dim = 5;
  Perceiver model(config);
  EXPECT_EQ(model->forward(data()).sizes(), at::IntArrayRef({2, 5}));
  EXPECT_EQ(model->forward(data(), {.return_embeddings = true}).sizes(), at::IntArrayRef({2, 4, 16}));
}

TEST(FlashPerceiver, Row20_ChangesItsBackendAtRunTime) {
  auto config = small();
  Perceiver model(config);
  const auto nothing = at::zeros({2, 5}, at::kBool);
  std::vector<at::Tensor> weights;
  const auto naive = model->forward({data(), nothing}, {.return_attn_weights = &weights});
  EXPECT_EQ(weights.size(), 6U);
  EXPECT_TRUE(at::allclose(naive, model->forward(data()), 1e-2, 1e-2));  // read as if nothing were masked
  model->set_flash_attn(true);
  EXPECT_FALSE(at::allclose(model->forward({data(), nothing}), naive, 1e-2, 1e-2));
  EXPECT_THAT(refusal([&] { model->forward(data(), {.return_attn_weights = &weights}); }),
              HasSubstr("set use_flash_attn to false"));
  model->set_flash_attn(false);
  EXPECT_TRUE(at::equal(model->forward({data(), nothing}), naive));
}

TEST(FlashPerceiver, Row22_CountsItsAttentionLayers) {
  auto config = small();
  config.self_per_cross_attn = 2;
  Perceiver model(config);
  EXPECT_EQ(model->num_attention_layers_per_block(), 3);
  EXPECT_EQ(model->num_attention_layers(), 9);
  EXPECT_EQ(model->num_self_attention_layers(), 6);
  EXPECT_EQ(model->num_cross_attention_layers(), 3);
}

TEST(FlashPerceiver, Row25_DrawsMasks) {
  at::manual_seed(2);
  const auto mask = random_mask(at::zeros({200, 7, 3}));
  EXPECT_TRUE(mask.select(1, 0).all().item<bool>());
  const auto lengths = mask.sum(1);
  EXPECT_EQ(lengths.max().item<int64_t>(), 7);
  EXPECT_TRUE(at::equal(mask, at::arange(7).unsqueeze(0).lt(lengths.unsqueeze(1))));
}

// Section 3.4: the order in which the original draws, with what it throws away.
TEST(FlashPerceiver, DrawsTheInitialWeightsOfTheOriginal) {
  auto config = small();
  config.num_zero_tokens = 2;
  config.output_dim = 5;
  at::manual_seed(7);
  Perceiver model(config);
  const auto actual = io::named_tensors(*model);

  at::manual_seed(7);
  io::Tensors expected;
  expected["latents"] = at::randn({4, 16});
  const auto linear = [&](const std::string& name, int64_t in, int64_t out, bool bias) {
    torch::nn::Linear layer(torch::nn::LinearOptions(in, out).bias(bias));
    if (name.empty()) return;
    expected[name + ".weight"] = layer->weight.detach();
    if (bias) expected[name + ".bias"] = layer->bias.detach();
  };
  const auto mlp = [&](const std::string& name) {
    linear(name + ".mlp.fc1", 16, 512, true);
    linear(name + ".mlp.fc2", 256, 16, true);
  };
  for (int i = 0; i < 3; ++i) {
    const auto layer = "layers." + std::to_string(i);
    linear("", 16, 48, true);
    linear("", 16, 16, true);
    linear(layer + ".1.0.mixer.Wqkv", 16, 48, true);
    linear(layer + ".1.0.mixer.out_proj", 16, 16, true);
    mlp(layer + ".1.0");
    linear("", 16, 16, false);
    linear("", 16, 32, false);
    linear("", 16, 16, true);
    linear(layer + ".0.mixer.Wq", 16, 8, false);
    linear(layer + ".0.mixer.Wkv", 6, 16, false);
    linear(layer + ".0.mixer.out_proj", 8, 16, true);
    mlp(layer + ".0");
    expected["zero_tokens." + std::to_string(i)] = at::randn({2, 6});
  }
  linear("out_proj.1", 16, 5, true);
  for (const auto& [name, tensor] : expected) EXPECT_TRUE(at::equal(actual.at(name), tensor)) << name;
}

// Section 3.12.
TEST(FlashPerceiver, HasAsManyParametersAsTheOriginal) {
  const auto count = [](const torch::nn::Module& module) {
    int64_t sum = 0;
    for (const auto& p : io::distinct_parameters(module)) sum += p.numel();
    return sum;
  };
  PerceiverConfig readme;
  readme.input_dim = 256;
  readme.depth = 8;
  readme.output_dim = 128;
  EXPECT_EQ(count(*Perceiver(readme)), 59962496);
  PerceiverConfig several;
  several.input_dim = {256, 512};
  several.depth = 2;
  EXPECT_EQ(count(*Perceiver(several)), 15203328);
  PerceiverIOConfig io;
  io.input_dim = 256;
  io.depth = 8;
  io.query_dim = 128;
  io.proj_dim = 64;
  EXPECT_EQ(count(*PerceiverIO(io)), 38019136);
  PerceiverConfig benchmark;
  benchmark.input_dim = 128;
  benchmark.depth = 8;
  benchmark.num_latents = benchmark.latent_dim = 256;
  EXPECT_EQ(count(*Perceiver(benchmark)), 17305600);
}

// Section 3.13.
TEST(FlashPerceiver, RefusesWhatTheOriginalRefuses) {
  EXPECT_THAT(refused_with([](auto& o) { o.input_dim = {6, 6}; }), HasSubstr("Must specify input_dim for each layer"));
  EXPECT_THAT(refused_with([](auto& o) {
                o.input_dim = {6, 6, 6};
                o.weight_tie_layers = true;
              }),
              HasSubstr("Cannot weight tie layers with different input dimensions"));
  EXPECT_THAT(refused_with([](auto& o) {
                o.output_mode = Pooling::concat;
                o.latent_drop = 0.5;
              }),
              HasSubstr("Cannot use latent dropout with output mode concat"));
  EXPECT_THAT(refused_with([](auto& o) {
                o.output_mode = Pooling::concat;
                o.output_dim = 3;
                o.num_latents = std::nullopt;
              }),
              HasSubstr("Must explicitly provide num_latents if output_mode is concat"));
  EXPECT_THAT(refused_with([](auto& o) { o.depth = 0; }), HasSubstr("depth must be at least 1"));
  EXPECT_THAT(refused_with([](auto& o) { o.num_latents = 1000000000000; }), HasSubstr("memory"));

  Perceiver model(small());
  const auto told = [&](const Data& given) { return refusal([&] { model->forward(given); }); };
  EXPECT_THAT(told({{data(), data()}}), HasSubstr("Expected 3 inputs, but found 2"));
  EXPECT_THAT(told({at::zeros({2, 5, 7})}), HasSubstr("Data dimensions do not match cross-attention dimensions"));
  EXPECT_THAT(told({{data(), data(), data().narrow(0, 0, 1)}}),
              HasSubstr("All data tensors must have the same batch size"));
  EXPECT_THAT(told({data(), at::zeros({2, 5})}), HasSubstr("expected bool"));
  EXPECT_THAT(refusal([&] {
                model->forward(data(), {.latents = at::zeros({4, 15})});
              }),
              HasSubstr("Latents must have 16 dimensions, but found 15"));
  auto config = small();
  config.num_latents = std::nullopt;
  Perceiver without(config);
  EXPECT_THAT(refusal([&] { without->forward(data()); }),
              HasSubstr("Must explicitly provide latents if not initialized with num_latents"));
}

// Section 8, 6: what stands behind a mask is never read.
TEST(FlashPerceiver, IsNotPoisonedByMaskedNaN) {
  Perceiver model(small());
  auto poisoned = data();
  poisoned.select(1, 3).fill_(NAN);
  const auto mask = at::tensor({1, 1, 1, 0, 1}).to(at::kBool).expand({2, 5});
  EXPECT_TRUE(model->forward({poisoned, mask}).isfinite().all().item<bool>());
}

}  // namespace
}  // namespace perceive::models::flash_perceiver
