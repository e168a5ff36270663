// The CIFAR-10 example's configuration, and what is linked between its data and its model.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/cli/process.h"
#include "tests/cli/tiny.h"

namespace perceive::tests {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using Words = std::vector<std::string>;

const Words kExample{"img_clf", "fit", "--config", PERCEIVE_ROOT "/examples/cifar10.yaml"};

std::string printed(const Words& words) {
  const auto ended = perceive(words + Words{"--print_config"});
  EXPECT_EQ(ended.code, 0) << ended.err;
  return ended.out;
}

void expect_refusal(const Words& words, const std::string& message) {
  const auto ended = perceive(words);
  EXPECT_EQ(ended.code, 2) << ended.err;
  EXPECT_THAT(ended.err, HasSubstr(message));
}

TEST(Cifar10Example, IsTheOneOfFlashPerceiver) {
  const auto config = printed(kExample);
  for (const auto* line : {"class_path: Cifar10\n",
                           "val_split: 5000\n",
                           "batch_size: 128\n",
                           "augment: true\n",
                           "class_path: FlashPerceiver\n",
                           "embed_dim: 64\n",
                           "num_channels: 3\n",
                           "channel_first: false\n",
                           "class_path: NeRFPositionalEncoding\n",
                           "num_frequency_bands: 10\n",
                           "patch_size: null\n",
                           "input_dim: 64\n",
                           "output_dim: 10\n",
                           "depth: 1\n",
                           "num_latents: 128\n",
                           "latent_dim: 256\n",
                           "cross_attn_dropout: 0.2\n",
                           "latent_attn_dropout: 0.2\n",
                           "self_per_cross_attn: 4\n",
                           "class_path: Lamb\n",
                           "lr: 5.0e-04\n",
                           "weight_decay: 1.0e-04\n",
                           "class_path: CosineWithWarmupLR\n",
                           "warmup_steps: 1000\n",
                           "max_epochs: 100\n"}) {
    EXPECT_THAT(config, HasSubstr(line));
  }
  const Folder folder;
  write(folder / "config.yaml", config);
  EXPECT_EQ(printed({"img_clf", "fit", "--config", folder / "config.yaml"}), config);
}

TEST(Cifar10Example, IsWhatTheModelIsByDefault) {
  const auto config = printed(kExample);
  const auto model = [](const std::string& text) {
    const auto begin = text.find("\nmodel:"), end = text.find("\noptimizer:");
    return text.substr(begin, end - begin);
  };
  EXPECT_EQ(model(printed({"img_clf", "fit", "--data=Cifar10", "--model=FlashPerceiver"})), model(config));
}

TEST(Cifar10Example, TakesFashionMnistInPlaceOfCifar10) {
  const auto config = printed(kExample + Words{"--data=FashionMnist", "--data.batch_size=128"});
  EXPECT_THAT(config, AllOf(HasSubstr("class_path: FashionMnist\n"), HasSubstr("num_channels: 1\n"),
                            HasSubstr("channel_first: false\n"), HasSubstr("output_dim: 10\n")));
  EXPECT_THAT(printed(kExample + Words{"--data.channels_last=false"}),
              AllOf(HasSubstr("num_channels: 3\n"), HasSubstr("channel_first: true\n")));
}

TEST(Cifar10Example, LeavesItsImagesToOtherModelsToo) {
  EXPECT_THAT(printed({"img_clf", "fit", "--data=Cifar10"}), HasSubstr("image_shape: [32, 32, 3]\n"));
}

TEST(Cifar10Example, ContradictionsAreRefused) {
  expect_refusal(kExample + Words{"--model.adapter.num_channels=4"}, "model.adapter.num_channels: this follows from");
  expect_refusal(kExample + Words{"--model.output_dim=3"}, "model.output_dim: this follows from the data");
  expect_refusal(kExample + Words{"--model.input_dim=3"}, "model.input_dim: this follows from adapter.embed_dim");
  expect_refusal(kExample + Words{"--model.adapter.patch_size=[5, 4]"},
                 "model.adapter.patch_size: expected what divides images of 32 x 32, got 5 x 4");
}

}  // namespace
}  // namespace perceive::tests
