// The commands of perceiver-io 0.2.1's README, option by option, on small data and for a few steps.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/cli/tiny.h"
#include "tests/cli/tiny_text.h"

namespace perceive::tests {
namespace {

using testing::HasSubstr;
using Words = std::vector<std::string>;

const Words kTextModel{"--model.num_latents=64",
                       "--model.num_latent_channels=64",
                       "--model.encoder.num_input_channels=64",
                       "--model.encoder.num_cross_attention_layers=3",
                       "--model.encoder.num_self_attention_layers_per_block=6",
                       "--model.encoder.num_self_attention_blocks=3",
                       "--model.decoder.num_output_query_channels=64",
                       "--data.max_seq_len=512"};

Words logged_as(const std::string& name) {
  return {"--trainer.logger=TensorBoardLogger", "--trainer.logger.save_dir=logs", "--trainer.logger.name=" + name,
          "--trainer.devices=-1"};
}

struct Readme : testing::Test {
  // `more` comes last, and what it says holds.
  Ended run(const Words& words, const Words& more) const { return perceive(words + more, {.folder = folder}); }
  const Folder folder;
};

TEST_F(Readme, TextFromPretrainingToFineTuning) {
  write_tiny_reviews(folder / ".cache/IMDB");
  const auto mlm =
      run(Words{"mlm", "fit", "--data=ImdbDataModule", "--model.encoder.dropout=0.0", "--model.decoder.dropout=0.0",
                "--data.batch_size=64", "--optimizer.lr=3e-3", "--optimizer.weight_decay=0.0",
                "--lr_scheduler.pct_start=0.1", "--trainer.check_val_every_n_epoch=5"} +
              kTextModel + logged_as("mlm"),
          {"--trainer.max_steps=2", "--trainer.check_val_every_n_epoch=1"});
  ASSERT_EQ(mlm.code, 0) << mlm.err;
  EXPECT_THAT(mlm.err, HasSubstr("parameters"));
  const auto frozen =
      run(Words{"seq_clf", "fit", "--data=ImdbDataModule", "--model.mlm_ckpt=logs/mlm/version_0",
                "--model.encoder.dropout=0.0", "--model.encoder.freeze=true", "--model.decoder.dropout=0.0",
                "--data.batch_size=128", "--optimizer=AdamW", "--optimizer.lr=1e-3", "--optimizer.weight_decay=0.01"} +
              kTextModel + logged_as("seq_clf"),
          {"--trainer.max_epochs=1"});
  ASSERT_EQ(frozen.code, 0) << frozen.err;
  EXPECT_THAT(frozen.err, HasSubstr("25,346 of them trained"));
  const auto all = run(Words{"seq_clf", "fit", "--data=ImdbDataModule", "--model.clf_ckpt=logs/seq_clf/version_0",
                             "--model.encoder.dropout=0.1", "--model.decoder.dropout=0.1", "--data.batch_size=128",
                             "--optimizer=AdamW", "--optimizer.lr=1e-4", "--optimizer.weight_decay=0.01"} +
                           kTextModel + logged_as("seq_clf"),
                       {"--trainer.max_epochs=1"});
  ASSERT_EQ(all.code, 0) << all.err;
  EXPECT_THAT(all.err, HasSubstr("1,052,994 of them trained"));
}

TEST_F(Readme, ImageClassification) {
  write_tiny_mnist(folder / ".cache", 64, 10);
  const auto ended =
      run(Words{"img_clf", "fit", "--model.num_latents=32", "--model.num_latent_channels=128",
                "--model.encoder.num_self_attention_layers_per_block=3", "--model.encoder.num_self_attention_blocks=3",
                "--model.encoder.dropout=0.0", "--model.decoder.dropout=0.0", "--data=MnistDataModule",
                "--data.batch_size=128", "--optimizer=AdamW", "--optimizer.lr=1e-3", "--optimizer.weight_decay=0.01"} +
              logged_as("img_clf"),
          {"--data.val_split=32", "--trainer.max_epochs=1"});
  ASSERT_EQ(ended.code, 0) << ended.err;
  EXPECT_THAT(ended.err, HasSubstr("801,954 of them trained"));
}

}  // namespace
}  // namespace perceive::tests
