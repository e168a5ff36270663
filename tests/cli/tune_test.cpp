// `perceive img_clf tune` on a data set of a few images.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>

#include "tests/cli/process.h"
#include "tests/cli/tiny.h"

namespace perceive::tests {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;
using Words = std::vector<std::string>;

class TuneProgram : public testing::Test {
 protected:
  TuneProgram() { write_tiny_mnist(data_); }
  Ended run(const Words& more = {}) const { return perceive(tiny("tune", data_, logs_, more)); }
  fs::path found(int number) const { return logs_ / ("img_clf/tune/version_" + std::to_string(number)); }

  const Folder data_, logs_;
};

TEST_F(TuneProgram, FindsALearningRateAndDrawsIt) {
  const Words shorter{"--lr_find_kwargs.num_training=30", "--lr_find_kwargs.min_lr=1e-5"};
  const auto first = run(shorter);
  EXPECT_EQ(first.code, 0) << first.err;
  EXPECT_THAT(first.out, ContainsRegex("suggestion: --optimizer\\.lr=[0-9.e-]+ "));
  EXPECT_THAT(first.out, HasSubstr(found(0).string()));
  EXPECT_THAT(contents(found(0) / "lr_find.csv"), StartsWith("lr,loss,smoothed_loss\n1e-05,"));
  EXPECT_TRUE(fs::exists(found(0) / "lr_find.png"));
  EXPECT_FALSE(fs::exists(logs_ / "img_clf/version_0")) << "a search is no run";
  run(shorter);
  EXPECT_EQ(contents(found(1) / "lr_find.csv"), contents(found(0) / "lr_find.csv"));
}

TEST_F(TuneProgram, FindsABatchSizeAndThenARateForIt) {
  const auto ended = run({"--trainer.auto_scale_batch_size", "--trainer.auto_lr_find", "--trainer.logger=false",
                          "--lr_find_kwargs.num_training=20", "--scale_batch_size_kwargs.steps_per_trial=1"});
  EXPECT_EQ(ended.code, 0) << ended.err;
  EXPECT_THAT(ended.out,
              AllOf(ContainsRegex("batch_size +2: +[0-9.]+ examples/s, [0-9.]+ [MG]B at its peak\n"),
                    HasSubstr("suggestion: --data.batch_size=32 (there are 32 examples to train with); fastest was "),
                    HasSubstr("suggestion: --optimizer.lr=")));
  EXPECT_TRUE(fs::is_empty(logs_));
  const auto drawn = run({"--trainer.auto_scale_batch_size=binsearch", "--scale_batch_size_kwargs.max_trials=2"});
  EXPECT_EQ(drawn.code, 0) << drawn.err;
  EXPECT_THAT(drawn.out, AllOf(HasSubstr("--data.batch_size=4 (2 sizes were tried (max_trials))"),
                               Not(HasSubstr("optimizer.lr"))));
  EXPECT_THAT(contents(found(0) / "batch_size.csv"), StartsWith("batch_size,examples_per_second,peak_memory\n2,"));
  EXPECT_TRUE(fs::exists(found(0) / "batch_size.png"));
}

TEST_F(TuneProgram, StopsAtASignal) {
  Process process(tiny("tune", data_, logs_, {"--lr_find_kwargs.num_training=1e7", "--lr_find_kwargs.max_lr=1e-7"}));
  ASSERT_TRUE(process.says("learning rate"));
  process.signal(SIGTERM);
  const auto ended = process.wait();
  EXPECT_EQ(ended.code, 130);
  EXPECT_THAT(ended.err, HasSubstr("interrupted: there is no suggestion"));
  EXPECT_TRUE(fs::is_empty(logs_));
}

TEST_F(TuneProgram, StartsFromACheckpoint) {
  ASSERT_EQ(perceive(tiny("fit", data_, logs_)).code, 0);
  const auto ended = run({"--ckpt_path=last", "--lr_find_kwargs.num_training=20"});
  EXPECT_EQ(ended.code, 0) << ended.err;
}

TEST_F(TuneProgram, PrintsItsConfigurationAsAFixedPoint) {
  const auto printed = run({"--lr_find_kwargs.num_training=7", "--print_config"}).out;
  EXPECT_THAT(printed, AllOf(HasSubstr("lr_find_kwargs:\n"), HasSubstr("num_training: 7\n"),
                             HasSubstr("scale_batch_size_kwargs:\n"), HasSubstr("auto_lr_find: false\n")));
  const Folder folder;
  write(folder / "config.yaml", printed);
  const auto again = perceive({"img_clf", "tune", "--config", (folder / "config.yaml").string(), "--print_config"});
  EXPECT_EQ(again.out, printed) << again.err;
}

TEST_F(TuneProgram, RefusesInWords) {
  const auto expect_refused = [](const Words& words, const std::string& message, int code = 2) {
    const auto ended = perceive(words);
    EXPECT_EQ(ended.code, code);
    EXPECT_THAT(ended.err, HasSubstr(message));
  };
  expect_refused(tiny("tune", data_, logs_, {"--lr_find_kwargs.min_l=1"}), "min_lr");
  expect_refused(tiny("tune", data_, logs_, {"--lr_find_kwargs.max_lr=0"}), "lr_find_kwargs.max_lr: expected a number");
  expect_refused(tiny("tune", data_, logs_, {"--scale_batch_size_kwargs.init_val=0"}), "init_val: expected 1 or more");
  expect_refused(tiny("tune", data_, logs_, {"--trainer.auto_scale_batch_size=fast"}), "power, binsearch");
  expect_refused(tiny("tune", data_, logs_, {"--lr_find_kwargs.num_training=5"}), "num_training: expected 13 or more");
  expect_refused(tiny("tune", data_, logs_, {"--lr_find_kwargs.min_lr=1e6", "--lr_find_kwargs.max_lr=1e30"}),
                 "too few to see where it falls", 5);
  expect_refused(tiny("fit", data_, logs_, {"--trainer.auto_lr_find"}),
                 "trainer.auto_lr_find: fit does not search; call `perceive img_clf tune`");
  expect_refused({"img_clf", "tune", "--data=FashionMnist"}, "--optimizer=AdamW");
  expect_refused(tiny("fit", data_, logs_, {"--lr_find_kwargs.min_lr=1"}), "lr_find_kwargs");
}

}  // namespace
}  // namespace perceive::tests
