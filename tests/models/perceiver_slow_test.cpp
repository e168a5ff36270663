// A Perceiver over a million tokens.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "perceive/models/named_perceiver.h"
#include "tests/peak_memory.h"

namespace perceive::models {
namespace {

// The benchmark configuration of flash-perceiver (its specification, section 3.19).
NamedPerceiverOptions benchmark() {
  NamedPerceiverOptions options;
  options.input_channels = 128;
  options.num_latents = 256;
  options.latent_channels = 256;
  options.stack.depth = 8;
  for (auto* layer : {&options.cross, &options.self}) {
    layer->attention.heads = layer == &options.cross ? 1 : 8;
    layer->attention.qk_channels = 64 * layer->attention.heads;
    layer->mlp.widening_factor = 4;
    layer->mlp.activation = nn::MlpActivation::geglu;
  }
  return options;
}

TEST(PerceiverOverAMillionTokens, RunsForwardAndBackwardInLessThanAGigabyte) {
  at::manual_seed(1);
  NamedPerceiver model(benchmark());
  const auto tokens = at::randn({1, int64_t{1} << 20, 128});
  const auto run = [&](const at::Tensor& values) { model->forward({{"data", {values, {}}}}).mean().backward(); };
  run(tokens.narrow(1, 0, 64));  // gradients take their memory before it is measured
  const double growth = peak_growth([&] { run(tokens); });
  EXPECT_LT(growth, 1e9);
  for (const auto& item : model->named_parameters()) {
    ASSERT_TRUE(item.value().grad().defined()) << item.key();
    EXPECT_TRUE(item.value().grad().isfinite().all().item<bool>()) << item.key();
  }
  RecordProperty("megabytes", static_cast<int>(growth / 1e6));
}

}  // namespace
}  // namespace perceive::models
