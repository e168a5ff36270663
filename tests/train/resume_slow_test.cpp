// A run that was interrupted and resumed equals one that was not, byte for byte.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include <chrono>
#include <thread>

#include "perceive/core/error.h"
#include "perceive/io/checkpoint.h"
#include "tests/train/tiny.h"

extern char** environ;

namespace perceive::train {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::ThrowsMessage;

struct Setting {
  OptimizerOptions optimizer = AdamWOptions{.lr = 0.01};
  std::optional<ScheduleOptions> schedule;
  int64_t accumulate = 1, workers = 0;
  std::string val_check_interval = "1.0";
  Precision precision = Precision::fp32;
};

class Resume : public InAFolder {
 protected:
  TrainerOptions trainer_options(const Setting& setting, const std::string& folder) const {
    TrainerOptions o = options();
    o.default_root_dir = (root / folder).string();
    o.accumulate_grad_batches = setting.accumulate;
    o.val_check_interval = setting.val_check_interval;
    o.precision = setting.precision;
    o.gradient_clip_val = 1.0;
    o.checkpoint.save_top_k = 2;
    o.checkpoint.filename = "{step}";
    return o;
  }
  // `stop_at`: a signal comes in the call of that number in the stage.
  FitResult fit(const Setting& setting, const std::string& folder, const std::string& ckpt_path = "",
                Stage stage = Stage::fit, int64_t stop_at = -1, int signal = SIGTERM) const {
    TinyData data;
    data.num_workers = setting.workers;
    TinyLearner learner;
    if (stop_at >= 0) {
      learner.before_step = [=](Stage now, int64_t call) {
        if (now == stage && call == stop_at) ::raise(signal);
      };
    }
    return Trainer(trainer_options(setting, folder)).fit(learner, data, setting.optimizer, setting.schedule, ckpt_path);
  }
  fs::path run_of(const std::string& folder) const { return root / folder / "default" / "version_0"; }

  void expect_same_run(const std::string& a, const std::string& b) const {
    EXPECT_EQ(bytes(run_of(a) / "metrics.csv"), bytes(run_of(b) / "metrics.csv"));
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(run_of(a) / "checkpoints")) {
      const auto other = run_of(b) / "checkpoints" / entry.path().filename();
      EXPECT_EQ(weights(entry.path()), weights(other)) << other;
      EXPECT_EQ(bytes(entry.path() / "trainer.safetensors"), bytes(other / "trainer.safetensors")) << other;
      names.push_back(entry.path().filename());
    }
    EXPECT_EQ(std::distance(fs::directory_iterator(run_of(b) / "checkpoints"), fs::directory_iterator()),
              static_cast<int64_t>(names.size()));
    EXPECT_GE(names.size(), 2u);
  }
  // The whole run, and the same interrupted in a step or a validation and resumed.
  void expect_exact(const Setting& setting, Stage stage, int64_t stop_at) {
    const FitResult whole = fit(setting, "whole");
    EXPECT_EQ(whole.reason, StopReason::max_epochs);
    const FitResult first = fit(setting, "parts", "", stage, stop_at);
    EXPECT_EQ(first.reason, StopReason::interrupted);
    EXPECT_THAT(first.message, HasSubstr("interrupted by Terminated"));
    EXPECT_LT(first.step, whole.step);
    const FitResult second = fit(setting, "parts", "last");
    EXPECT_EQ(second.step, whole.step);
    EXPECT_EQ(second.folder, first.folder);
    EXPECT_EQ(second.metrics, whole.metrics);
    expect_same_run("whole", "parts");
    fs::remove_all(root);
  }
};

TEST_F(Resume, IsExactAfterAnInterruptionInTheMiddleOfAnEpoch) {
  expect_exact({}, Stage::fit, 15);
}
TEST_F(Resume, IsExactWithWorkersAndAccumulationInTheMiddleOfAStep) {
  for (const int64_t stop_at : {4, 13, 14}) {
    expect_exact({.accumulate = 2, .workers = 2}, Stage::fit, stop_at);
    expect_exact({.accumulate = 3, .workers = 2, .val_check_interval = "4"}, Stage::fit, stop_at);
  }
}
TEST_F(Resume, IsExactAfterAnInterruptionBeforeTheFirstStepAndAtTheEndOfAnEpoch) {
  expect_exact({}, Stage::fit, 0);
  expect_exact({}, Stage::fit, 10);
  expect_exact({}, Stage::fit, 11);
}
TEST_F(Resume, IsExactAfterAnInterruptionInAValidation) {
  expect_exact({}, Stage::validate, 0);
  expect_exact({.val_check_interval = "0.5"}, Stage::validate, 8);
  expect_exact({.accumulate = 2, .val_check_interval = "3"}, Stage::validate, 8);
}
TEST_F(Resume, IsExactInMixedAndDoublePrecision) {
  expect_exact({.precision = Precision::bf16}, Stage::fit, 15);
  expect_exact({.precision = Precision::fp64}, Stage::fit, 15);
}
TEST_F(Resume, IsExactWithEveryOptimizer) {
  for (const OptimizerOptions& optimizer :
       {OptimizerOptions(AdagradOptions{}), OptimizerOptions(AdamOptions{.amsgrad = true}),
        OptimizerOptions(LBFGSOptions{.max_iter = 3, .history_size = 3}),
        OptimizerOptions(RMSpropOptions{.momentum = 0.5, .centered = true}), OptimizerOptions(SGDOptions{}),
        OptimizerOptions(SGDOptions{.momentum = 0.9, .nesterov = true}), OptimizerOptions(AdadeltaOptions{}),
        OptimizerOptions(AdamaxOptions{}), OptimizerOptions(ASGDOptions{.t0 = 5}), OptimizerOptions(LambOptions{}),
        OptimizerOptions(NAdamOptions{}), OptimizerOptions(RAdamOptions{}), OptimizerOptions(RpropOptions{})}) {
    SCOPED_TRACE(name(optimizer));
    expect_exact({.optimizer = optimizer}, Stage::fit, 15);
  }
}
TEST_F(Resume, IsExactWithEverySchedule) {
  for (const ScheduleOptions& schedule : std::vector<ScheduleOptions>{
           OneCycleLROptions{.max_lr = 0.02}, CosineWithWarmupLROptions{.warmup_steps = 4},
           StepLROptions{.step_size = 1}, MultiStepLROptions{.milestones = {3, 17}, .interval = Interval::step},
           ConstantLROptions{.total_iters = 2}, LinearLROptions{.interval = Interval::step},
           ExponentialLROptions{.gamma = 0.9}, PolynomialLROptions{}, CosineAnnealingLROptions{.T_max = 3},
           CosineAnnealingWarmRestartsOptions{.T_0 = 5, .interval = Interval::step},
           CyclicLROptions{.base_lr = 1e-3, .max_lr = 1e-2, .step_size_up = 3, .interval = Interval::step},
           ReduceLROnPlateauOptions{.factor = 0.5, .patience = 0, .threshold = 0.2},
           SequentialLROptions{.schedulers = {LinearLROptions{}, StepLROptions{.step_size = 4}},
           .milestones = {6},
           .interval = Interval::step}}) {
    SCOPED_TRACE(name(schedule));
    expect_exact({.schedule = schedule}, Stage::fit, 17);
  }
}

TEST_F(Resume, ContinuesAsOftenAsItIsInterrupted) {
  const Setting setting{.accumulate = 2, .workers = 2};
  fit(setting, "whole");
  fit(setting, "parts", "", Stage::fit, 3);
  for (int i = 0; i < 3; ++i) fit(setting, "parts", "last", Stage::fit, 4, i == 1 ? SIGINT : SIGUSR1);
  fit(setting, "parts", "last");
  expect_same_run("whole", "parts");
}

TEST_F(Resume, HasNothingToDoAfterTheEnd) {
  const auto first = fit({}, "run");
  const auto second = fit({}, "run", "last");
  EXPECT_EQ(second.reason, StopReason::nothing_to_do);
  EXPECT_EQ(second.message, "nothing to do: max_epochs = 3 was reached before");
  EXPECT_EQ(second.step, first.step);
  EXPECT_EQ(second.last_checkpoint, first.last_checkpoint);
}

TEST_F(Resume, ContinuesWhenTheEndIsMovedAndAtTheLastStep) {
  TinyData data;
  auto o = options();
  const auto fit_until = [&](int64_t steps, const std::string& ckpt_path) {
    o.max_epochs.reset();
    o.max_steps = steps;
    TinyLearner learner;
    return Trainer(o).fit(learner, data, AdamWOptions{}, std::nullopt, ckpt_path);
  };
  EXPECT_EQ(fit_until(14, "").reason, StopReason::max_steps);
  EXPECT_EQ(fit_until(14, "last").reason, StopReason::nothing_to_do);
  EXPECT_EQ(fit_until(15, "last").step, 15);
  EXPECT_EQ(fit_until(22, "last").step, 22);
  const std::string in_parts = weights(run(0) / "checkpoints/last");
  EXPECT_EQ(fit_until(22, "").step, 22);
  EXPECT_EQ(in_parts, weights(run(1) / "checkpoints/last"));
}

TEST_F(Resume, GoesOnInANewFolderFromACheckpointOfElsewhere) {
  fit({}, "run", "", Stage::fit, 15);
  fs::create_directories(root / "elsewhere");
  fs::rename(run_of("run") / "checkpoints/last", root / "elsewhere/saved");
  const auto result = fit({}, "run", (root / "elsewhere/saved").string());
  EXPECT_EQ(result.folder.filename(), "version_1");
  EXPECT_EQ(result.reason, StopReason::max_epochs);
}

TEST_F(Resume, RefusesAnotherModelOptimizerOrOrder) {
  fit({.accumulate = 2}, "run", "", Stage::fit, 11);
  const auto expect_refused = [&]<class E>(E*, const std::string& message,
                                           const std::function<void(Setting&, TinyData&)>& change, int64_t width = 7) {
    Setting setting{.accumulate = 2};
    TinyData data;
    change(setting, data);
    TinyLearner learner(std::make_shared<TinyModel>(width));
    EXPECT_THAT(
        [&] {
          Trainer(trainer_options(setting, "run")).fit(learner, data, setting.optimizer, setting.schedule, "last");
        },
        ThrowsMessage<E>(HasSubstr(message)));
  };
  core::FileError* file = nullptr;
  core::ConfigError* config = nullptr;
  expect_refused(
      file, "first.weight: expected [8, 5], found [7, 5]", [](Setting&, TinyData&) {}, 8);
  expect_refused(config, "was made with AdamW, this run has SGD",
                 [](Setting& s, TinyData&) { s.optimizer = SGDOptions{}; });
  expect_refused(config, "the checkpoint was made with none, this run has StepLR",
                 [](Setting& s, TinyData&) { s.schedule = StepLROptions{.step_size = 1}; });
  expect_refused(config, "was saved after 1 of 2 batches of a step", [](Setting& s, TinyData&) { s.accumulate = 4; });
  expect_refused(config, "cannot resume in the middle of epoch 1 (after 1 batches) with seed 4 instead of 3",
                 [](Setting&, TinyData& d) { d.seed = 4; });
}

TEST_F(Resume, TakesAnotherBatchSizeWhereTheSameExamplesFollow) {
  TinyData data;
  auto o = options();
  {
    TinyLearner learner;
    learner.before_step = [](Stage stage, int64_t call) {
      if (stage == Stage::fit && call == 3) ::raise(SIGTERM);
    };
    Trainer(o).fit(learner, data, AdamWOptions{});
  }
  data.batch_size = 10;
  TinyLearner learner;
  Trainer(o).fit(learner, data, AdamWOptions{}, std::nullopt, "last");
  EXPECT_EQ(learner.calls[Stage::fit], 4 + 6 + 6);
  EXPECT_EQ(learner.model->seen.item<int64_t>(), 3 * 53);
}

TEST_F(Resume, RefusesACheckpointThatIsNotThere) {
  EXPECT_THAT([&] { fit({}, "run", "last"); },
              ThrowsMessage<core::FileError>(HasSubstr("there is no last checkpoint in any version_* of")));
  EXPECT_THAT([&] { fit({}, "run", (root / "nowhere").string()); },
              ThrowsMessage<core::FileError>(HasSubstr("nowhere: expected a folder with state.json")));
}

TEST_F(Resume, RefusesACheckpointThatIsNotOfATrainingRun) {
  io::save_checkpoint(root / "model", {.model = {{"w", at::ones({2})}}});
  EXPECT_THAT([&] { fit({}, "run", (root / "model").string()); },
              ThrowsMessage<core::FileError>(HasSubstr("is not a checkpoint of a training run")));
}

TEST_F(Resume, TellsWhatIsNotAsItWas) {
  TinyData data;
  TinyLearner learner;
  const nlohmann::json before{{"optimizer", {{"lr", 0.1}}}, {"seed", 1}},
      now{{"optimizer", {{"lr", 0.2}}}, {"x", true}};
  auto o = options();
  o.max_epochs = 1;
  Trainer(o, {.config_yaml = "lr: 0.1\n", .config = before}).fit(learner, data, SGDOptions{});
  data.train_set = data.other_set;
  o.max_epochs = 2;
  core::set_log_level(core::LogLevel::warning);
  testing::internal::CaptureStderr();
  Trainer(o, {.config_yaml = "lr: 0.2\n", .config = now}).fit(learner, data, SGDOptions{}, std::nullopt, "last");
  const std::string said = testing::internal::GetCapturedStderr();
  EXPECT_THAT(said, HasSubstr("resumed with another option: optimizer.lr is 0.2, and was 0.1"));
  EXPECT_THAT(said, HasSubstr("resumed with another option: x is true, and was not there"));
  EXPECT_THAT(said, HasSubstr("resumed with another option: seed is not there, and was 1"));
  EXPECT_THAT(said, HasSubstr("the data is not what it was when"));
  EXPECT_THAT(said, HasSubstr("resumed with examples 17 instead of 53"));
  EXPECT_EQ(bytes(run(0) / "config.yaml"), "lr: 0.1\n");
  EXPECT_EQ(bytes(run(0) / "config_step=11.yaml"), "lr: 0.2\n");
}

// ---- Runs in a process of their own, which is killed.

constexpr const char* kFolderOfTheChild = "PERCEIVE_TEST_CHILD";

Setting setting_of_the_child() {
  return {.accumulate = 2, .workers = 2, .val_check_interval = "3"};
}

class ResumeInAChild : public Resume {
 protected:
  // What `DISABLED_Trains` does, in a new process: its third batch takes so long. Returns its id.
  pid_t start(const std::string& ckpt_path, int milliseconds = 15) const {
    const std::string folder = std::string(kFolderOfTheChild) + "=" + root.string();
    const std::string resume = "PERCEIVE_TEST_RESUME=" + ckpt_path;
    const std::string pace = "PERCEIVE_TEST_PACE=" + std::to_string(milliseconds);
    std::vector<char*> environment;
    for (char** variable = environ; *variable; ++variable) environment.push_back(*variable);
    environment.push_back(const_cast<char*>(folder.c_str()));
    environment.push_back(const_cast<char*>(resume.c_str()));
    environment.push_back(const_cast<char*>(pace.c_str()));
    environment.push_back(nullptr);
    std::vector<std::string> words{"train_slow_test", "--gtest_filter=ResumeInAChild.DISABLED_Trains",
                                   "--gtest_also_run_disabled_tests", "--gtest_brief=1"};
    std::vector<char*> arguments;
    for (auto& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    pid_t child = 0;
    EXPECT_EQ(::posix_spawn(&child, "/proc/self/exe", nullptr, nullptr, arguments.data(), environment.data()), 0);
    return child;
  }
  static int wait_for(pid_t child) {
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    return status;
  }
  fs::path checkpoints() const { return run_of("parts") / "checkpoints"; }
};

TEST_F(ResumeInAChild, DISABLED_Trains) {
  const char* folder = ::getenv(kFolderOfTheChild);
  if (!folder) GTEST_SKIP() << "started by other tests only";
  TinyData data;
  data.num_workers = setting_of_the_child().workers;
  TinyLearner learner;
  const std::chrono::milliseconds pace(15), third(std::stoi(::getenv("PERCEIVE_TEST_PACE")));
  learner.before_step = [=](Stage stage, int64_t call) {
    const bool is_third = stage == Stage::fit && call == 2;
    if (is_third) std::ofstream(fs::path(folder) / "third") << "has begun";
    std::this_thread::sleep_for(is_third ? third : pace);
  };
  root = folder;
  auto o = trainer_options(setting_of_the_child(), "parts");
  o.checkpoint.every_n_train_steps = 1;
  Trainer(o).fit(learner, data, AdamWOptions{.lr = 0.01}, std::nullopt, ::getenv("PERCEIVE_TEST_RESUME"));
  root /= "nothing to remove";
}

TEST_F(ResumeInAChild, IsExactHoweverOftenItIsKilled) {
  fit(setting_of_the_child(), "whole");
  const auto state = checkpoints() / "last/state.json";
  std::string resume;
  int kills = 0;
  for (const int delay : {0, 17, 90, 131, 64, 40}) {
    const std::string before = fs::exists(state) ? bytes(state) : "";
    const pid_t child = start(resume);
    const auto ended = [&] {
      siginfo_t info{};
      return ::waitid(P_PID, child, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == child;
    };
    // Starting takes a time of its own: the delay counts from the first checkpoint that it makes.
    while (!ended() && (!fs::exists(state) || bytes(state) == before)) {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(delay));
    ::kill(child, SIGKILL);
    if (WIFSIGNALED(wait_for(child))) ++kills;
    resume = "last";
  }
  EXPECT_GE(kills, 3);
  EXPECT_EQ(wait_for(start("last")), 0);
  EXPECT_EQ(weights(checkpoints() / "last"), weights(run_of("whole") / "checkpoints/last"));
  EXPECT_EQ(bytes(run_of("parts") / "metrics.csv"), bytes(run_of("whole") / "metrics.csv"));
  for (const auto& entry : fs::directory_iterator(run_of("whole") / "checkpoints")) {
    EXPECT_EQ(weights(entry.path()), weights(checkpoints() / entry.path().filename()));
  }
}

TEST_F(ResumeInAChild, ASecondInterruptEndsItAtOnce) {
  fs::create_directories(root);
  const pid_t child = start("", 20'000);
  while (!fs::exists(root / "third")) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  // Two signals that arrive together count as one.
  ::kill(child, SIGINT);
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  ::kill(child, SIGINT);
  const int status = wait_for(child);
  ASSERT_TRUE(WIFEXITED(status)) << "signal " << WTERMSIG(status);
  EXPECT_EQ(WEXITSTATUS(status), 130);
}

}  // namespace
}  // namespace perceive::train
