// Runs that are stopped, by a signal or by force, and go on.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <functional>

#include "tests/cli/process.h"
#include "tests/cli/tiny.h"
#include "tests/cli/tiny_text.h"

namespace perceive::tests {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using Words = std::vector<std::string>;

// 40 batches of 4 an epoch, prepared by two workers, two for a step, with dropout.
class Resume : public testing::Test {
 protected:
  Resume() { write_tiny_mnist(data_, 192, 10); }

  Words fit(const Folder& logs, const Words& more = {}) const {
    return tiny(
        "fit", data_, logs,
        Words{"--data.batch_size=4", "--data.num_workers=2", "--trainer.accumulate_grad_batches=2",
              "--trainer.max_epochs=3", "--model.encoder.dropout=0.1", "--trainer.checkpoint.every_n_train_steps=3"} +
            more);
  }
  static fs::path last(const Folder& logs, int version = 0) {
    return logs / ("img_clf/version_" + std::to_string(version) + "/checkpoints/last");
  }
  static std::string model(const Folder& logs) { return contents(last(logs) / "model.safetensors"); }
  // Of a run that nothing stopped.
  std::string uninterrupted() const {
    const Folder logs;
    const auto ended = perceive(fit(logs));
    EXPECT_EQ(ended.code, 0) << ended.err;
    return model(logs);
  }

  const Folder data_;
};

// Until the run is in the middle of an epoch.
void wait_for_middle(Process& process, const Folder& logs) {
  const auto metrics = logs / "img_clf/version_0/metrics.csv";
  for (int look = 0; look < 20'000; ++look) {
    const auto text = contents(metrics);
    if (std::count(text.begin(), text.end(), '\n') > 25) return;
    if (!process.running()) return;
    usleep(2000);
  }
}

TEST_F(Resume, AfterSigtermInTheMiddleOfAnEpochGivesTheSameBytes) {
  const auto expected = uninterrupted();
  ASSERT_THAT(expected, Not(IsEmpty()));
  const Folder logs;
  Process process(fit(logs));
  wait_for_middle(process, logs);
  process.signal(SIGTERM);
  const auto ended = process.wait();
  ASSERT_EQ(ended.code, 75) << ended.err;
  EXPECT_THAT(ended.out, HasSubstr("--ckpt_path=" + last(logs).string()));
  ASSERT_NE(model(logs), expected);
  const auto resumed = perceive({"img_clf", "fit", "--ckpt_path=" + last(logs).string()});
  EXPECT_EQ(resumed.code, 0) << resumed.err;
  EXPECT_EQ(model(logs), expected);
}

TEST_F(Resume, AfterSigkillAtAnyMomentGivesTheSameBytes) {
  const auto expected = uninterrupted();
  for (const int milliseconds :
       {0, 43, 170, 390}) {  // after the first checkpoint; others are being written all the time
    const Folder logs;
    Process process(fit(logs));
    while (process.running() && !fs::exists(last(logs) / "state.json")) usleep(1000);
    usleep(1000 * milliseconds);
    process.signal(SIGKILL);
    EXPECT_EQ(process.wait().code, 137);
    const auto resumed = perceive({"img_clf", "fit", "--ckpt_path=" + last(logs).string()});
    EXPECT_EQ(resumed.code, 0) << milliseconds << " ms: " << resumed.err;
    EXPECT_EQ(model(logs), expected) << milliseconds << " ms";
  }
}

TEST_F(Resume, AFinishedRunHasNothingToDo) {
  const Folder logs;
  perceive(fit(logs));
  const auto before = model(logs);
  const auto again = perceive({"img_clf", "fit", "--ckpt_path=" + last(logs).string()});
  EXPECT_EQ(again.code, 0) << again.err;
  EXPECT_EQ(model(logs), before);
}

TEST_F(Resume, ASecondInterruptEndsAtOnce) {
  const Folder logs;
  Process process(fit(logs, {"--trainer.max_epochs=500"}));
  wait_for_middle(process, logs);
  process.signal(SIGINT);
  usleep(300);
  process.signal(SIGINT);
  const int code = process.wait().code;
  EXPECT_TRUE(code == 130 || code == 75) << code;  // 75: saved before the second one came
}

// fit(logs) ends with the same bytes where it is stopped in between.
void expect_same_after_a_stop(const std::string& task, const std::string& samples,
                              const std::function<Words(const Folder&)>& fit) {
  const auto last = [&](const Folder& logs) { return logs / (task + "/version_0/checkpoints/last"); };
  const Folder whole, stopped;
  ASSERT_EQ(perceive(fit(whole)).code, 0);
  Process process(fit(stopped));
  while (process.running() && !fs::exists(last(stopped) / "state.json")) usleep(1000);
  usleep(50'000);
  process.signal(SIGTERM);
  ASSERT_EQ(process.wait().code, 75);
  const auto resumed = perceive({task, "fit", "--ckpt_path=" + last(stopped).string()});
  EXPECT_EQ(resumed.code, 0) << resumed.err;
  for (const auto& file : {std::string("checkpoints/last/model.safetensors"), std::string("metrics.csv"), samples}) {
    EXPECT_EQ(contents(stopped / (task + "/version_0/" + file)), contents(whole / (task + "/version_0/" + file)))
        << file;
  }
}

// Masks are drawn anew in each epoch, and texts come from two workers.
TEST(ResumeText, AMaskedLanguageModelGivesTheSameBytes) {
  const Folder data;
  write_tiny_reviews(data);
  expect_same_after_a_stop("mlm", "sample_predictions.txt", [&](const Folder& logs) {
    return tiny_text("mlm", data, logs,
                     {"--trainer.max_steps=60", "--model.encoder.dropout=0.1", "--data.batch_size=4"});
  });
}

TEST(ResumeText, ACausalLanguageModelGivesTheSameBytes) {
  const Folder data;
  write_tiny_reviews(data);
  expect_same_after_a_stop("clm", "sample_continuations.txt", [&](const Folder& logs) {
    return Words{"clm",
                 "fit",
                 "--data=TextFile",
                 "--data.files=[" + data.string() + "]",
                 "--data.max_seq_len=32",
                 "--data.batch_size=2",
                 "--data.num_workers=2",
                 "--model.channels=16",
                 "--model.heads=2",
                 "--model.projected=8",
                 "--model.block=8",
                 "--model.dropout=0.1",
                 "--model.generate.tokens=4",
                 "--seed_everything=1",
                 "--trainer.max_steps=150",
                 "--trainer.default_root_dir=" + logs.string()};
  });
}

TEST_F(Resume, FashionMnistFitsTestsAndPredicts) {
  if (!fs::exists("/usr/share/datasets/fashion-mnist")) GTEST_SKIP() << "dataset-fashion-mnist is not installed";
  const Folder logs;
  const auto root = "--trainer.default_root_dir=" + logs.string();
  const auto ended = perceive(Words{"img_clf", "fit", "--data=FashionMnist", "--data.batch_size=32"} + kTinyModel +
                              Words{"--optimizer=AdamW", "--optimizer.lr=1e-3", "--trainer.max_epochs=1", root,
                                    "--trainer.limit_train_batches=4", "--trainer.limit_val_batches=2"});
  EXPECT_EQ(ended.code, 0) << ended.err;
  const auto tested = perceive({"img_clf", "test", "--ckpt_path=last", root, "--trainer.limit_test_batches=5"});
  EXPECT_EQ(tested.code, 0) << tested.err;
  EXPECT_THAT(tested.out, HasSubstr("test_acc="));
  const auto predicted =
      perceive({"img_clf", "predict", "--ckpt_path=last", root, "--trainer.limit_predict_batches=2"});
  EXPECT_EQ(predicted.code, 0) << predicted.err;
  EXPECT_THAT(predicted.out, HasSubstr("64 images"));
}

}  // namespace
}  // namespace perceive::tests
