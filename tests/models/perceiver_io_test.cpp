// The native model: shapes, gradients, masks, attention maps, and what it refuses.
#include "perceive/models/perceiver_io.h"

#include <ATen/autocast_mode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/autograd.h>

#include "perceive/core/config.h"
#include "perceive/core/error.h"
#include "perceive/core/options.h"
#include "tests/refusal.h"

namespace perceive::models {
namespace {

using testing::AllOf;
using testing::HasSubstr;

PerceiverIOOptions tiny() {
  PerceiverIOOptions options;
  options.input = nn::ImageInputOptions{{3, 5, 2}, 2};
  options.encoder.num_latents = 3;
  options.encoder.num_latent_channels = 4;
  options.encoder.cross.attention.heads = 2;
  options.encoder.self.attention.heads = 2;
  options.encoder.num_self_layers_per_block = 1;
  options.encoder.num_cross_layers = 2;
  options.encoder.num_self_blocks = 3;
  options.encoder.first_self_block_shared = false;
  options.output = nn::ClassificationOutputOptions{3, 1, 4};
  options.decoder.cross.attention.heads = 2;
  return options;
}

at::Tensor images(int64_t batch, at::ScalarType dtype = at::kFloat) {
  return at::sin(at::arange(batch * 30, dtype) * 0.3).view({batch, 3, 5, 2});
}

TEST(PerceiverIO, HasTheGradientsOfFiniteDifferences) {
  at::manual_seed(3);
  PerceiverIO model(tiny());
  model->to(at::kDouble);
  const auto weight = at::randn({2, 3}, at::kDouble);
  auto input = images(2, at::kDouble).requires_grad_();
  const auto loss = [&] { return (model->forward(input) * weight).sum(); };
  loss().backward();
  auto tensors = model->named_parameters().values();
  tensors.push_back(input);
  const at::NoGradGuard no_grad;
  constexpr double kStep = 1e-5;
  for (auto& tensor : tensors) {
    ASSERT_TRUE(tensor.grad().defined());
    auto flat = tensor.view({-1});
    for (const int64_t i : {int64_t{0}, tensor.numel() / 2, tensor.numel() - 1}) {
      const double at = flat[i].item<double>();
      flat[i] = at + kStep;
      const double up = loss().item<double>();
      flat[i] = at - kStep;
      const double down = loss().item<double>();
      flat[i] = at;
      const double grad = tensor.grad().view({-1})[i].item<double>();
      EXPECT_NEAR(grad, (up - down) / (2 * kStep), 1e-6 * std::max(1.0, std::abs(grad)));
    }
  }
}

TEST(PerceiverIO, DecodesAndTrainsInBlocksOfOutputRows) {
  at::manual_seed(3);
  auto options = tiny();
  options.output = nn::ClassificationOutputOptions{3, 7, 4};
  PerceiverIO model(options);
  model->to(at::kDouble);
  const auto input = images(2, at::kDouble);
  const auto whole = model->forward(input);
  std::vector<at::Tensor> blocks;
  model->decoder()->decode(model->encode(input), 3,
                           [&](const at::Tensor& outputs, int64_t) { blocks.push_back(outputs); });
  EXPECT_TRUE(at::allclose(at::cat(blocks, 1), whole, 1e-12, 1e-12));

  const auto parameters = model->parameters();
  const auto expected = torch::autograd::grad({whole.square().sum()}, parameters);
  const auto loss = model->decoder()->loss(model->encode(input), 3,
                                           [](const at::Tensor& outputs, int64_t) { return outputs.square().sum(); });
  const auto found = torch::autograd::grad({loss}, parameters);
  for (size_t i = 0; i < found.size(); ++i) EXPECT_TRUE(at::allclose(found[i], expected[i], 1e-10, 1e-10)) << i;
}

TEST(PerceiverIO, ReadsAndWritesTokensWithOneEmbedding) {
  at::manual_seed(3);
  auto options = tiny();
  options.input = nn::TokenInputOptions{.vocabulary = 11, .channels = 4, .max_length = 7};
  options.output = nn::TokenOutputOptions{.vocabulary = 11, .length = 7};
  PerceiverIO model(options);
  model->to(at::kDouble);
  const auto ids = at::arange(10).view({2, 5});
  const auto logits = model->forward(ids);
  EXPECT_EQ(logits.sizes(), at::IntArrayRef({2, 5, 11}));
  std::vector<at::Tensor> blocks;
  model->decoder()->decode(model->encode(ids), 3,
                           [&](const at::Tensor& outputs, int64_t) { blocks.push_back(outputs); });
  EXPECT_TRUE(at::allclose(at::cat(blocks, 1).narrow(1, 0, 5), logits, 1e-12, 1e-12));

  // Gradients of the embedding come from both its places, also in blocks.
  const std::vector<at::Tensor> embedding{model->named_parameters()["input.embedding.weight"]};
  const auto whole = model->decoder()->forward(model->encode(ids)).square().sum();
  const auto expected = torch::autograd::grad({whole}, embedding);
  const auto loss = model->decoder()->loss(model->encode(ids), 3,
                                           [](const at::Tensor& outputs, int64_t) { return outputs.square().sum(); });
  EXPECT_TRUE(at::allclose(torch::autograd::grad({loss}, embedding)[0], expected[0], 1e-10, 1e-10));

  EXPECT_THAT(refusal([&] { model->forward(at::zeros({1, 8}, at::kLong)); }), HasSubstr("longer than max_length, 7"));
  auto apart = options;
  std::get<nn::TokenOutputOptions>(apart.output).vocabulary = 12;
  EXPECT_THAT(refusal([&] { PerceiverIO other(apart); }),
              HasSubstr("output.vocabulary and input.vocabulary must be equal"));
  apart.input = tiny().input;
  EXPECT_THAT(refusal([&] { PerceiverIO other(apart); }), HasSubstr("output.query_channels must be given"));
}

TEST(PerceiverIO, LearnsToTellTwoImagesApart) {
  at::manual_seed(0);
  PerceiverIO model(tiny());
  const auto labels = at::tensor({2, 0}, at::kLong);
  torch::optim::Adam adam(model->parameters(), torch::optim::AdamOptions(1e-2));
  const auto loss = [&] { return at::cross_entropy_loss(model->forward(images(2)), labels); };
  const double before = loss().item<double>();
  for (int step = 0; step < 40; ++step) {
    adam.zero_grad();
    loss().backward();
    adam.step();
  }
  EXPECT_LT(loss().item<double>(), 0.1 * before);
}

TEST(PerceiverIO, NeverSeesWhatIsMasked) {
  PerceiverIO model(tiny());
  auto mask = at::ones({2, 3, 5}, at::kBool);
  mask[0][1].fill_(false);
  auto changed = images(2).clone();
  changed[0][1].fill_(NAN);
  EXPECT_TRUE(at::equal(model->forward(changed, mask), model->forward(images(2), mask)));
  EXPECT_FALSE(at::allclose(model->forward(images(2), mask)[0], model->forward(images(2))[0], 1e-7, 1e-7));
  EXPECT_TRUE(at::allclose(model->forward(images(2), mask)[1], model->forward(images(2))[1], 1e-5, 1e-6));
}

TEST(PerceiverIO, AnswersForAnImageWithNothingLeft) {
  PerceiverIO model(tiny());
  auto mask = at::ones({2, 15}, at::kBool);
  mask[1].fill_(false);
  auto input = images(2).clone();
  input[1].fill_(NAN);
  const auto logits = model->forward(input, mask);
  EXPECT_TRUE(logits.isfinite().all().item<bool>());
  logits.sum().backward();
  for (const auto& p : model->parameters()) EXPECT_TRUE(p.grad().isfinite().all().item<bool>());
}

TEST(PerceiverIO, TakesExpandedAndNonContiguousImages) {
  PerceiverIO model(tiny());
  const auto channels_first = images(2).permute({0, 3, 1, 2}).contiguous().permute({0, 2, 3, 1});
  EXPECT_TRUE(at::allclose(model->forward(channels_first), model->forward(images(2)), 1e-5, 1e-6));
  const auto repeated = images(1).expand({3, -1, -1, -1});
  EXPECT_TRUE(at::allclose(model->forward(repeated), model->forward(repeated.contiguous()), 1e-5, 1e-6));
}

TEST(PerceiverIO, TreatsEachImageOfABatchAlone) {
  PerceiverIO model(tiny());
  const auto all = model->forward(images(4));
  for (int64_t i = 0; i < 4; ++i) {
    EXPECT_TRUE(at::allclose(model->forward(images(4).narrow(0, i, 1))[0], all[i], 1e-5, 1e-6));
  }
}

TEST(PerceiverIO, DropsInTrainingOnly) {
  auto options = tiny();
  options.encoder.self.attention.dropout = 0.3;
  options.decoder.cross.residual_dropout = 0.3;
  PerceiverIO model(options);
  EXPECT_FALSE(at::equal(model->forward(images(2)), model->forward(images(2))));
  model->eval();
  EXPECT_TRUE(at::equal(model->forward(images(2)), model->forward(images(2))));
}

TEST(PerceiverIO, TrainsTheSameWithActivationCheckpointing) {
  std::vector<std::vector<at::Tensor>> grads;
  for (const bool checkpointed : {false, true}) {
    auto options = tiny();
    for (auto* layer : {&options.encoder.cross, &options.encoder.self, &options.decoder.cross}) {
      layer->attention.dropout = 0.2;
      layer->residual_dropout = 0.1;
      layer->activation_checkpointing = checkpointed;
    }
    at::manual_seed(5);
    PerceiverIO model(options);
    model->forward(images(3)).square().sum().backward();
    grads.emplace_back();
    for (const auto& p : model->parameters()) grads.back().push_back(p.grad());
  }
  // Shared layers add up their gradients in another order.
  for (size_t i = 0; i < grads[0].size(); ++i) EXPECT_TRUE(at::allclose(grads[0][i], grads[1][i], 1e-5, 1e-6)) << i;
}

TEST(PerceiverIO, TrainsUnderAutocastAndWithCheckpointingThere) {
  std::vector<std::vector<at::Tensor>> grads;
  for (const int run : {0, 1, 2}) {
    auto options = tiny();
    for (auto* layer : {&options.encoder.cross, &options.encoder.self, &options.decoder.cross}) {
      layer->activation_checkpointing = run == 2;
    }
    at::manual_seed(5);
    PerceiverIO model(options);
    at::autocast::set_autocast_enabled(at::kCPU, run > 0);
    const auto loss = model->forward(images(3)).to(at::kFloat).square().sum();
    at::autocast::set_autocast_enabled(at::kCPU, false);
    at::autocast::clear_cache();
    loss.backward();
    grads.emplace_back();
    for (const auto& p : model->parameters()) grads.back().push_back(p.grad());
  }
  for (size_t i = 0; i < grads[0].size(); ++i) {
    EXPECT_EQ(grads[1][i].scalar_type(), at::kFloat);
    // bfloat16 keeps 8 bits of a number, and LayerNorm spreads what little the first latents differ by.
    EXPECT_LT((grads[1][i] - grads[0][i]).norm().item<float>(), 0.15 * grads[0][i].norm().item<float>() + 0.01) << i;
    EXPECT_TRUE(at::allclose(grads[1][i], grads[2][i], 1e-2, 1e-4)) << i;
  }
}

TEST(PerceiverIO, ShowsWhereItLooks) {
  PerceiverIO model(tiny());
  model->eval();
  auto mask = at::ones({2, 3, 5}, at::kBool);
  mask[0][1].fill_(false);
  const auto maps = model->attention_maps(images(2), mask);
  EXPECT_EQ(maps.queries_to_latents.sizes(), at::IntArrayRef({2, 2, 1, 3}));
  EXPECT_EQ(maps.latents_to_input.sizes(), at::IntArrayRef({2, 2, 3, 15}));
  EXPECT_EQ(maps.queries_to_input.sizes(), at::IntArrayRef({2, 15}));
  for (const auto& map : {maps.queries_to_latents, maps.latents_to_input, maps.queries_to_input}) {
    EXPECT_TRUE(at::allclose(map.sum(-1), at::ones_like(map.sum(-1))));
    EXPECT_FALSE(map.requires_grad());
  }
  EXPECT_EQ(maps.queries_to_input[0].narrow(0, 5, 5).abs().max().item<float>(), 0.0f);
}

TEST(PerceiverIO, NamesTheImageThatDoesNotFit) {
  PerceiverIO model(tiny());
  EXPECT_THAT(refusal([&] {
                model->forward(at::zeros({2, 3, 4, 2}));
              }),
              HasSubstr("image: expected [B, 3, 5, 2] (channels last); got [2, 3, 4, 2]"));
  EXPECT_THAT(refusal([&] { model->forward(at::zeros({0, 3, 5, 2})); }), HasSubstr("the batch is empty"));
}

TEST(PerceiverIOOptions, ReadBackWhatTheyPrint) {
  PerceiverIOOptions options;
  core::assign(options, {core::parse_yaml(core::to_yaml(tiny()), "tiny.yaml")});
  EXPECT_TRUE(core::same(options, tiny()));
}

TEST(PerceiverIOOptions, NameWhatCannotBeBuilt) {
  const auto with = [](auto&& change) {
    auto options = tiny();
    change(options);
    return refusal([&] { PerceiverIO model(options); });
  };
  EXPECT_THAT(with([](auto& o) { o.encoder.num_latents = 0; }), HasSubstr("encoder.num_latents must be at least 1"));
  EXPECT_THAT(with([](auto& o) { o.encoder.num_cross_layers = 4; }),
              HasSubstr("encoder.num_cross_layers must be at most encoder.num_self_blocks"));
  EXPECT_THAT(
      with([](auto& o) { o.encoder.self.attention.heads = 3; }),
      HasSubstr("encoder.self.qk_channels must be divisible by encoder.self.heads; got 4 channels for 3 heads"));
  EXPECT_THAT(with([](auto& o) { o.decoder.cross.attention.dropout = -0.1; }),
              HasSubstr("decoder.cross.dropout is a probability and must be in [0, 1); got -0.1"));
  EXPECT_THAT(with([](auto& o) { std::get<0>(o.output).num_classes = 0; }), HasSubstr("output.num_classes"));
}

TEST(PerceiverIOOptions, RefuseAbsurdSizesWithAnEstimate) {
  auto options = tiny();
  options.encoder.num_latents = 1'000'000'000'000;
  EXPECT_THAT(refusal([&] { PerceiverIO model(options); }),
              AllOf(HasSubstr("1000000000000 latents of 4 channels"), HasSubstr("would need 96.0 TB of memory"),
                    HasSubstr("this machine has")));
  options = tiny();
  options.encoder.num_latent_channels = int64_t{1} << 62;
  EXPECT_THAT(refusal([&] { PerceiverIO model(options); }), HasSubstr("EB of memory"));
  options = tiny();
  options.encoder.num_self_blocks = 1'000'000'000'000;
  EXPECT_THAT(refusal([&] { PerceiverIO model(options); }),
              AllOf(HasSubstr("1000000000000 blocks of 1 layers"), HasSubstr("TB of memory")));
}

}  // namespace
}  // namespace perceive::models
