// The picture classifier of flash-perceiver's example: its parts, their names and their numbers.
#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "perceive/core/error.h"
#include "perceive/io/names.h"
#include "perceive/models/dialects/flash_perceiver/image_classifier.h"

namespace perceive::models::flash_perceiver {
namespace {

ImageClassifierConfig small() {
  ImageClassifierConfig config;
  config.num_latents = 3;
  config.latent_dim = 16;
  config.cross_head_dim = config.latent_head_dim = 8;
  config.latent_heads = 2;
  config.output_dim = 10;
  return config;
}

// The original's number, counted there.
TEST(FlashPerceiverClassifier, IsAsLargeAsTheExamplesModel) {
  ImageClassifierConfig config;
  config.output_dim = 10;
  int64_t count = 0;
  for (const auto& parameter : ImageClassifier(config)->parameters()) count += parameter.numel();
  EXPECT_EQ(count, 6'133'216);
}

TEST(FlashPerceiverClassifier, GivesThePerceiverTheAdaptersTokensUnderTheNamesOfBoth) {
  const auto config = small();
  ImageClassifier whole(config);
  whole->eval();
  ImageAdapter adapter(config.adapter);
  auto of_perceiver = config;
  of_perceiver.input_dim = 64;
  Perceiver perceiver(of_perceiver);
  perceiver->eval();

  io::Tensors adapters, perceivers;
  for (const auto& [name, tensor] : io::named_tensors(*whole)) {
    if (name.starts_with("adapter.")) {
      adapters.emplace(name.substr(8), tensor);
    } else {
      perceivers.emplace(name, tensor);
    }
  }
  io::load_into(*adapter, adapters, "the adapter's part");
  perceiver->load_state_dict(perceivers, "the Perceiver's part");
  const auto images = at::randn({2, 3, 8, 6});
  const auto logits = whole->forward(images);
  EXPECT_EQ(logits.sizes(), at::IntArrayRef({2, 10}));
  EXPECT_TRUE(at::equal(logits, perceiver->forward(adapter->forward(images))));
}

TEST(FlashPerceiverClassifier, RefusesAnotherInputThanTheAdapterGives) {
  const auto refused = [](const ImageClassifierConfig& config, const std::string& words) {
    EXPECT_THAT([&] { ImageClassifier{config}; }, testing::ThrowsMessage<core::ConfigError>(testing::HasSubstr(words)));
  };
  auto config = small();
  config.input_dim = 32;
  refused(config, "input_dim: this follows from adapter.embed_dim, which is 64; got 32. Leave it out");
  config = small();
  config.output_dim.reset();
  refused(config, "output_dim: expected the number of classes, got null");
}

}  // namespace
}  // namespace perceive::models::flash_perceiver
