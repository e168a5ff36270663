// What users get wrong on the command line and in files, and what they are told.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/cli/process.h"
#include "tests/cli/tiny.h"

namespace perceive::tests {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;
using Words = std::vector<std::string>;

const Words kFit{"img_clf", "fit"};

// Refused as a fault of use, with words on stderr that fit, nothing on stdout, and nothing written.
void expect_refusal(const Words& words, const testing::Matcher<const std::string&>& message) {
  const Folder folder;
  const auto ended = perceive(words, {.folder = folder});
  EXPECT_EQ(ended.code, 2) << ended.err;
  EXPECT_THAT(ended.err, StartsWith("perceive: "));
  EXPECT_THAT(ended.err, message);
  EXPECT_THAT(ended.out, IsEmpty());
  EXPECT_TRUE(std::filesystem::is_empty(folder)) << "something was written";
}

std::string printed(const Words& words) {
  const auto ended = perceive(words + Words{"--print_config"});
  EXPECT_EQ(ended.code, 0) << ended.err;
  return ended.out;
}

TEST(Help, OfEveryCommandTakesLessThanASecond) {
  for (const Words& words :
       {Words{}, Words{"info"}, Words{"img_clf"}, Words{"img_clf", "fit"}, Words{"img_clf", "validate"},
        Words{"img_clf", "test"}, Words{"img_clf", "predict"}, Words{"img_clf", "tune"}}) {
    const auto ended = perceive(words + Words{"--help"});
    EXPECT_EQ(ended.code, 0) << ended.err;
    EXPECT_THAT(ended.out, HasSubstr("Usage: perceive"));
    EXPECT_LT(ended.seconds, 1.0) << testing::PrintToString(words);
  }
}

TEST(Help, ListsOptionsWithDefaultsAndMeaning) {
  const auto help = perceive({"img_clf", "fit", "--help"}).out;
  EXPECT_THAT(help, HasSubstr("--model.num_latents=32"));
  EXPECT_THAT(help, HasSubstr("--trainer.max_epochs=null"));
  EXPECT_THAT(help, HasSubstr(" with --optimizer=AdamW\n  --optimizer.lr=0.001"));
  EXPECT_THAT(help, HasSubstr("--config FILE"));
  EXPECT_THAT(help, HasSubstr("--print_config"));
}

TEST(Help, WorksBehindOptions) {
  EXPECT_THAT(perceive({"img_clf", "fit", "--data=FashionMnist", "--help"}).out, HasSubstr("--model.num_latents"));
}

TEST(Configuration, HasTheDefaultsOfTheOriginalScript) {
  const auto config = printed(kFit);
  for (const auto* line : {"num_latents: 32\n", "num_latent_channels: 128\n", "num_frequency_bands: 32\n",
                           "num_cross_attention_heads: 1\n", "num_self_attention_heads: 4\n",
                           "num_self_attention_layers_per_block: 3\n", "num_self_attention_blocks: 3\n",
                           "first_self_attention_block_shared: false\n", "num_output_query_channels: 128\n",
                           "default_root_dir: logs\n", "monitor: val_loss\n", "seed_everything: null\n"}) {
    EXPECT_THAT(config, HasSubstr(line));
  }
}

TEST(Configuration, TakesTheCommandOfTheOriginalsReadme) {
  const auto config =
      printed({"img_clf", "fit", "--data=FashionMnist", "--data.batch_size=128", "--optimizer=AdamW",
               "--optimizer.lr=1e-3", "--model.num_latents=32", "--model.num_latent_channels=128",
               "--model.encoder.num_frequency_bands=32", "--model.encoder.dropout=0.0", "--trainer.max_epochs=20"});
  for (const auto* line : {"class_path: FashionMnist\n", "batch_size: 128\n", "class_path: AdamW\n", "lr: 0.001\n",
                           "image_shape: [28, 28, 1]\n", "num_classes: 10\n", "max_epochs: 20\n"}) {
    EXPECT_THAT(config, HasSubstr(line));
  }
}

TEST(Configuration, PrintedAndReadAgainIsTheSame) {
  const Folder folder;
  const auto first =
      printed(kFit + kTinyModel +
              Words{"--data=MnistDataModule", "--optimizer=SGD", "--optimizer.lr=0.5", "--lr_scheduler=OneCycleLR",
                    "--lr_scheduler.max_lr=1e-3", "--trainer.max_steps=5e4", "--seed_everything=7"});
  write(folder / "config.yaml", first);
  EXPECT_EQ(printed(kFit + Words{"--config", folder / "config.yaml"}), first);
  const auto comments = perceive(kFit + Words{"--config", folder / "config.yaml", "--print_config=comments"}).out;
  EXPECT_THAT(comments, HasSubstr("# "));
  write(folder / "comments.yaml", comments);
  EXPECT_EQ(printed(kFit + Words{"--config", folder / "comments.yaml"}), first);
}

TEST(Configuration, FilesAndFlagsCountFromLeftToRight) {
  const Folder folder;
  write(folder / "a.yaml", "model: {num_latents: 5, num_latent_channels: 40}\n");
  write(folder / "b.yaml", "model:\n  num_latents: 6\n");
  const auto a = "--config=" + (folder / "a.yaml").string(), b = "--config=" + (folder / "b.yaml").string();
  EXPECT_THAT(printed(kFit + Words{a, b}), AllOf(HasSubstr("num_latents: 6\n"), HasSubstr("channels: 40\n")));
  EXPECT_THAT(printed(kFit + Words{b, a}), HasSubstr("num_latents: 5\n"));
  EXPECT_THAT(printed(kFit + Words{b, "--model.num_latents=7", a}), HasSubstr("num_latents: 5\n"));
  EXPECT_THAT(printed(kFit + Words{a, "--model.num_latents", "7"}), HasSubstr("num_latents: 7\n"));
}

TEST(Configuration, UnknownKeysAreRefusedWithTheNearestName) {
  expect_refusal(kFit + Words{"--model.num_latent=3"}, AllOf(HasSubstr("num_latent"), HasSubstr("num_latents")));
  const Folder folder;
  write(folder / "c.yaml", "model:\n  encoder:\n    num_frequency_band: 3\n");
  expect_refusal(kFit + Words{"--config", folder / "c.yaml"},
                 AllOf(HasSubstr("c.yaml:3"), HasSubstr("num_frequency_bands")));
}

TEST(Configuration, WrongTypesAreRefusedWithWhatWasExpected) {
  expect_refusal(kFit + Words{"--optimizer=AdamW", "--optimizer.lr=fast"},
                 AllOf(HasSubstr("optimizer.lr"), HasSubstr("fast")));
  expect_refusal(kFit + Words{"--model.num_latents=1.5"}, HasSubstr("model.num_latents"));
  expect_refusal(kFit + Words{"--model.num_latents=010"}, HasSubstr("010"));
  expect_refusal(kFit + Words{"--optimizer=AdmaW"}, AllOf(HasSubstr("AdamW"), HasSubstr("SGD")));
  expect_refusal(kFit + Words{"--trainer.logger=yes"}, HasSubstr("true"));
}

TEST(Configuration, WholeNumbersMayBeWrittenAsPeopleDo) {
  EXPECT_THAT(printed(kFit + Words{"--trainer.max_steps=5e4"}), HasSubstr("max_steps: 50000\n"));
  EXPECT_THAT(printed(kFit + Words{"--trainer.max_steps=1_000"}), HasSubstr("max_steps: 1000\n"));
}

TEST(Configuration, DuplicateKeysAreRefusedWithBothLines) {
  const Folder folder;
  write(folder / "d.yaml", "seed_everything: 1\nmodel: {}\nseed_everything: 2\n");
  expect_refusal(kFit + Words{"--config", folder / "d.yaml"}, AllOf(HasSubstr("d.yaml:3"), HasSubstr("1")));
}

TEST(Configuration, FilesThatCannotBeReadAreNamedInFull) {
  const Folder folder;
  expect_refusal(kFit + Words{"--config", "none.yaml"}, HasSubstr("/none.yaml"));
  expect_refusal(kFit + Words{"--config", folder.string()}, HasSubstr(folder.string()));
  write(folder / "bytes.yaml", "model: \xff\xfe\n");
  expect_refusal(kFit + Words{"--config", folder / "bytes.yaml"}, HasSubstr("bytes.yaml"));
  write(folder / "deep.yaml", std::string(200'000, '['));
  expect_refusal(kFit + Words{"--config", folder / "deep.yaml"}, HasSubstr("deep.yaml"));
}

TEST(Configuration, ContradictionsAreRefused) {
  const Words run = kFit + Words{"--data=FashionMnist", "--optimizer=AdamW", "--trainer.max_epochs=1"};
  expect_refusal(run + Words{"--trainer.precision=16"}, HasSubstr("trainer.precision"));
  expect_refusal(run + Words{"--trainer.accelerator=gpu"}, HasSubstr("trainer.accelerator"));
  expect_refusal(run + Words{"--trainer.devices=2"}, HasSubstr("trainer.devices"));
  expect_refusal(run + Words{"--trainer.strategy=deepspeed"}, HasSubstr("trainer.strategy"));
  expect_refusal(run + Words{"--model.encoder.image_shape=[32, 32, 3]"}, HasSubstr("model.encoder.image_shape"));
  expect_refusal(run + Words{"--model.decoder.num_classes=3"}, HasSubstr("model.decoder.num_classes"));
}

TEST(Configuration, WhatAModelCannotBeIsRefusedBeforeDataIsRead) {
  const Words run =
      kFit + Words{"--data=MnistDataModule", "--data.data_dir=/none", "--optimizer=AdamW", "--trainer.max_epochs=1"};
  expect_refusal(run + Words{"--model.encoder.num_self_attention_heads=3"}, HasSubstr("num_self_attention_heads"));
  expect_refusal(run + Words{"--model.num_latents=0"}, HasSubstr("num_latents"));
  expect_refusal(run + Words{"--model.encoder.dropout=1.5"}, HasSubstr("dropout"));
  expect_refusal(run + Words{"--model.num_latents=1e12"}, HasSubstr("1000000000000 latents"));
  expect_refusal(run + Words{"--model.decoder.num_output_queries=2"}, HasSubstr("num_output_queries"));
}

TEST(Configuration, WhatIsMissingIsNamedWithAnExample) {
  expect_refusal(kFit + Words{"--data=FashionMnist", "--trainer.max_epochs=1"}, HasSubstr("--optimizer=AdamW"));
  expect_refusal(kFit + Words{"--optimizer=AdamW", "--trainer.max_epochs=1"}, HasSubstr("--data=FashionMnist"));
  expect_refusal(kFit + Words{"--data=FashionMnist", "--optimizer=AdamW"}, HasSubstr("trainer.max_epochs"));
  for (const auto* stage : {"validate", "test", "predict"}) {
    expect_refusal({"img_clf", stage, "--data=FashionMnist"}, HasSubstr("--ckpt_path"));
  }
}

TEST(Configuration, StrayWordsAreRefused) {
  expect_refusal(kFit + Words{"picture.png"}, HasSubstr("picture.png"));
  expect_refusal(kFit + Words{"--print_config=all"}, HasSubstr("--print_config=all"));
  expect_refusal({"img_clf", "predict", "--top_k=0"}, HasSubstr("--top_k"));
  expect_refusal({"img_clf", "predict", "--output"}, HasSubstr("--output"));
  expect_refusal({"img_clf"}, HasSubstr("perceive img_clf --help"));
  expect_refusal({"img_clf", "fti"}, HasSubstr("fit"));
}

}  // namespace
}  // namespace perceive::tests
