// Linformers over long inputs: what they take of the memory.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <tuple>

#include "perceive/models/dialects/linformer_pytorch/linformer.h"
#include "perceive/models/dialects/linformer_pytorch/truncated_linformer.h"
#include "perceive/models/linformer.h"
#include "tests/peak_memory.h"

namespace perceive::models {
namespace {

using Method = nn::ProjectionMethod;

constexpr int64_t kRows = 131072, kChannels = 64;

// Gradients of the projection included, which are as large as the projection: 0.13 GB. A causal model also holds its
// attention to the blocks' own rows, and a mask.
TEST(LinformerOfManyRows, RunsForwardAndBackwardInOneAndAHalfGigabytes) {
  for (const bool causal : {false, true}) {
    LinformerOptions options;
    options.channels = kChannels;
    options.layer.attention.heads = 4;
    options.layer.attention.causal = causal;
    options.layer.attention.projection = {.length = kRows, .projected = 256, .sharing = nn::ProjectionSharing::layer};
    at::manual_seed(1);
    Linformer model(options);
    const auto x = at::randn({1, kRows, kChannels});
    const double growth = peak_growth([&] { model->forward(x).square().mean().backward(); });
    EXPECT_LT(growth, causal ? 1.7e9 : 1.5e9);
    RecordProperty(causal ? "megabytes_causal" : "megabytes", static_cast<int>(growth / 1e6));
    for (const auto& item : model->named_parameters()) {
      ASSERT_TRUE(item.value().grad().defined()) << item.key();
      EXPECT_TRUE(item.value().grad().isfinite().all().item<bool>()) << item.key();
    }
  }
}

// Limits: half of what linformer-pytorch takes at C0, a quarter at C2, and no more at C1 than at C0. What a level frees
// may serve the next one, so that the smallest is the first.
TEST(LinformerPytorchOfManyRows, TakesLessMemoryThanTheOriginalAtEachCheckpointLevel) {
  namespace dialect = linformer_pytorch;
  constexpr int64_t kInput = 16384;
  const auto x = at::randn({1, kInput, kChannels});
  const auto growth = [&](auto model) { return peak_growth([&] { model->forward(x).square().sum().backward(); }); };
  for (const auto& [level, first, later] :
       {std::tuple{"C2", 205e6, 121e6}, {"C1", 602e6, 260e6}, {"C0", 602e6, 260e6}}) {
    const dialect::TruncatedLinformerConfig truncated{.input_size = kInput,
                                                      .channels = kChannels,
                                                      .dim_ff = 128,
                                                      .dim_d = 256,
                                                      .depth = 2,
                                                      .checkpoint_level = level};
    EXPECT_LT(growth(dialect::TruncatedLinformer(truncated)), first) << level;
    dialect::LinformerConfig config;
    config.input_size = kInput;
    config.channels = kChannels;
    config.dim_k = config.dim_ff = 128;
    config.depth = 2;
    config.checkpoint_level = level;
    EXPECT_LT(growth(dialect::Linformer(config)), later) << level;
  }
}

// Keys and values of 8 heads of 64 channels would be 0.54 GB, and their gradients as much again.
TEST(LengthProjectorOfManyRows, NeverHoldsKeysAndValues) {
  for (const auto method : {Method::learned, Method::random, Method::convolution, Method::mean, Method::max}) {
    at::manual_seed(1);
    nn::LengthProjector projector(nn::LengthProjectorOptions{.length = kRows, .projected = 256, .method = method}, 8,
                                  64);
    const auto x = at::randn({1, kRows, kChannels}).requires_grad_();
    const auto weight = at::randn({1024, kChannels}).requires_grad_();
    const auto run = [&] {
      const auto [keys, values, mask] = projector->forward(x, weight);
      (keys.square().mean() + values.square().mean()).backward();
    };
    run();  // gradients take their memory before it is measured
    const double growth = peak_growth(run);
    EXPECT_LT(growth, 0.35e9) << static_cast<int>(method);
    RecordProperty("megabytes_" + std::to_string(static_cast<int>(method)), static_cast<int>(growth / 1e6));
  }
}

}  // namespace
}  // namespace perceive::models
