#include "perceive/train/trainer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include "perceive/core/config.h"
#include "perceive/core/error.h"
#include "perceive/io/checkpoint.h"
#include "perceive/io/lock.h"
#include "tests/train/tiny.h"

namespace perceive::train {

struct WithTrainer {
  TrainerOptions trainer;
};
template <class Visitor>
void visit(WithTrainer& o, Visitor&& field) {
  field("trainer", o.trainer, "");
}

namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::ThrowsMessage;

class TrainerTest : public InAFolder {
 protected:
  FitResult fit(const TrainerOptions& o, const OptimizerOptions& optimizer = AdamWOptions{.lr = 0.02}) {
    return Trainer(o).fit(learner, data, optimizer);
  }
  void expect_refused(const TrainerOptions& o, const std::string& message,
                      const OptimizerOptions& optimizer = AdamWOptions{},
                      const std::optional<ScheduleOptions>& schedule = std::nullopt) {
    EXPECT_THAT([&] { Trainer(o).fit(learner, data, optimizer, schedule); },
                ThrowsMessage<core::ConfigError>(HasSubstr(message)));
  }
  std::vector<std::string> checkpoints(int version = 0) const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(run(version) / "checkpoints")) {
      names.push_back(entry.path().filename());
    }
    std::sort(names.begin(), names.end());
    return names;
  }
  std::string metrics(int version = 0) const { return bytes(run(version) / "metrics.csv"); }

  TinyData data;
  TinyLearner learner;
};

TEST_F(TrainerTest, LearnsAndLeavesARunFolder) {
  auto o = options();
  o.max_epochs = 30;
  const auto result = Trainer(o, {.config_yaml = "a: 1\n"}).fit(learner, data, AdamWOptions{.lr = 0.02});
  EXPECT_EQ(result.reason, StopReason::max_epochs);
  EXPECT_EQ(result.epoch, 30);
  EXPECT_EQ(result.step, 30 * 11);
  EXPECT_GT(result.metrics.at("val_acc"), 0.85);
  EXPECT_EQ(result.folder, run(0));
  EXPECT_EQ(result.last_checkpoint, run(0) / "checkpoints/last");
  EXPECT_THAT(result.best_checkpoint.filename().string(), testing::MatchesRegex("epoch=0..-val_loss=0\\..*"));
  EXPECT_EQ(bytes(run(0) / "config.yaml"), "a: 1\n");
  EXPECT_THAT(metrics(), HasSubstr("epoch,lr-AdamW,train_acc,train_loss,val_acc,val_loss"));

  TinyLearner best;
  const auto tested = Trainer(o).test(best, data, "best");
  EXPECT_EQ(tested.checkpoint, result.best_checkpoint);
  EXPECT_NEAR(tested.metrics.at("test_loss"), *result.best_score, 1e-6);
  EXPECT_THAT(metrics(), HasSubstr("test_acc,test_loss"));
}

TEST_F(TrainerTest, WeighsBatchesByTheirExamples) {
  const auto result = Trainer(options()).validate(learner, data);
  data.batch_size = 17;
  const auto at_once = Trainer(options()).validate(learner, data);
  EXPECT_NEAR(result.metrics.at("val_loss"), at_once.metrics.at("val_loss"), 1e-6);
  EXPECT_NEAR(result.metrics.at("val_acc"), at_once.metrics.at("val_acc"), 1e-12);
  EXPECT_TRUE(result.checkpoint.empty());
  EXPECT_FALSE(fs::exists(root));
}

TEST_F(TrainerTest, AccumulatesLikeALargerBatch) {
  learner.model->dropout->eval();
  auto o = options();
  o.max_epochs = 1;
  const auto weights_with = [&](int64_t batch_size, int64_t accumulate) {
    TinyLearner own;
    own.model->dropout->options.p(0);
    data.batch_size = batch_size;
    o.accumulate_grad_batches = accumulate;
    o.limit_train_batches = std::to_string(40 / batch_size);
    const auto result = Trainer(o).fit(own, data, SGDOptions{.lr = 0.1});
    EXPECT_EQ(result.step, 40 / batch_size / accumulate + (40 / batch_size % accumulate > 0));
    return own.model->first->weight.detach().clone();
  };
  const at::Tensor large = weights_with(20, 1);
  EXPECT_TRUE(at::allclose(weights_with(5, 4), large, 1e-5, 1e-6));
  EXPECT_TRUE(at::allclose(weights_with(10, 2), large, 1e-5, 1e-6));
  // The last step of an epoch has only one of three batches, and its whole gradient.
  EXPECT_FALSE(at::allclose(weights_with(10, 3), large, 1e-5, 1e-6));
}

TEST_F(TrainerTest, CountsBatchesAsAsked) {
  auto o = options();
  o.num_sanity_val_steps = 2;
  o.limit_train_batches = "4";
  o.limit_val_batches = "0.5";
  o.limit_test_batches = "1";
  fit(o);
  EXPECT_EQ(learner.calls[Stage::fit], 3 * 4);
  EXPECT_EQ(learner.calls[Stage::validate], 2 + 3 * 2);
  Trainer(o).test(learner, data);
  EXPECT_EQ(learner.calls[Stage::test], 1);
  o.limit_predict_batches = "2";
  int64_t rows = 0;
  Trainer(o).predict(learner, data, [&](const data::Batch&, const data::Batch& said) {
    rows += said.at("label").size(0);
    EXPECT_TRUE(at::allclose(said.at("probabilities").sum(1), at::ones({said.at("label").size(0)})));
  });
  EXPECT_EQ(rows, 10);
}

TEST_F(TrainerTest, ValidatesWhenAsked) {
  const auto validations = [&](const std::function<void(TrainerOptions&)>& change) {
    TrainerOptions o = options();
    o.num_sanity_val_steps = 0;
    o.limit_val_batches = "1";
    o.max_epochs = 4;
    change(o);
    TinyLearner own;
    Trainer(o).fit(own, data, AdamWOptions{});
    return own.calls[Stage::validate];
  };
  EXPECT_EQ(validations([](TrainerOptions&) {}), 4);
  EXPECT_EQ(validations([](TrainerOptions& o) { o.check_val_every_n_epoch = 3; }), 1);
  EXPECT_EQ(validations([](TrainerOptions& o) { o.val_check_interval = "0.5"; }), 4 * 2);
  EXPECT_EQ(validations([](TrainerOptions& o) { o.val_check_interval = "4"; }), 4 * 2);
  EXPECT_EQ(validations([](TrainerOptions& o) {
              o.val_check_interval = "15";
              o.check_val_every_n_epoch.reset();
            }),
            2);
  EXPECT_EQ(validations([](TrainerOptions& o) { o.limit_val_batches = "0"; }), 0);
  EXPECT_EQ(validations([](TrainerOptions& o) { o.max_steps = 3; }), 1);
}

TEST_F(TrainerTest, DoesNotLetValidationChangeWhatIsTrained) {
  learner.after_step = [](StepOutput output, Stage stage) {
    if (stage == Stage::validate) at::rand({3});
    return output;
  };
  auto o = options();
  fit(o);
  o.num_sanity_val_steps = 0;
  o.val_check_interval = "2";
  TinyLearner other;
  other.after_step = learner.after_step;
  Trainer(o).fit(other, data, AdamWOptions{.lr = 0.02});
  EXPECT_TRUE(at::equal(learner.model->first->weight, other.model->first->weight));
}

TEST_F(TrainerTest, LogsTheRateAndTheTrainingMetricsEverySoManySteps) {
  auto o = options();
  o.log_every_n_steps = 5;
  o.max_epochs = 1;
  o.limit_val_batches = "0";
  Trainer(o).fit(learner, data, SGDOptions{.lr = 0.5}, StepLROptions{.step_size = 6, .interval = Interval::step});
  EXPECT_THAT(metrics(), testing::MatchesRegex("step,epoch,lr-SGD,train_acc,train_loss\n"
                                               "5,0,0\\.5,[0-9.]+,[0-9.]+\n10,0,0\\.05,[0-9.]+,[0-9.]+\n"));
}

TEST_F(TrainerTest, KeepsTheBestAndTheLast) {
  const std::vector<double> losses{0.5, 0.3, NAN, 0.4, 0.3, 0.2, 0.6};
  size_t validation = 0;
  learner.after_step = [&](StepOutput output, Stage stage) {
    if (stage == Stage::validate) output.loss = at::scalar_tensor(losses.at(validation++));
    return output;
  };
  auto o = options();
  o.num_sanity_val_steps = 0;
  o.limit_val_batches = "1";
  o.max_epochs = 7;
  o.checkpoint.save_top_k = 2;
  const auto result = fit(o);
  EXPECT_EQ(checkpoints(), (std::vector<std::string>{"epoch=001-val_loss=0.300", "epoch=005-val_loss=0.200", "last"}));
  EXPECT_NEAR(*result.best_score, 0.2, 1e-6);
  EXPECT_EQ(result.best_checkpoint, run(0) / "checkpoints/epoch=005-val_loss=0.200");
  EXPECT_EQ(Trainer(o).test(learner, data, "best").checkpoint, result.best_checkpoint);
}

TEST_F(TrainerTest, KeepsOnlyTheLastWithoutValidation) {
  data.with_validation = false;
  fit(options());
  EXPECT_EQ(checkpoints(), std::vector<std::string>{"last"});
  EXPECT_THAT([&] { Trainer(options()).validate(learner, data); },
              ThrowsMessage<core::ConfigError>(HasSubstr("the data has no part to validate with")));
}

TEST_F(TrainerTest, KeepsTheNewestWithoutAMonitor) {
  auto o = options();
  o.checkpoint.monitor.reset();
  o.checkpoint.filename = "{epoch}";
  o.checkpoint.save_top_k = -1;
  o.checkpoint.save_last = false;
  fit(o);
  EXPECT_EQ(checkpoints(), (std::vector<std::string>{"epoch=0", "epoch=1", "epoch=2"}));
  o.checkpoint.save_top_k = 1;
  fit(o);
  EXPECT_EQ(checkpoints(1), std::vector<std::string>{"epoch=2"});
}

TEST_F(TrainerTest, WritesNothingWhenAsked) {
  auto o = options();
  o.logger = o.enable_checkpointing = false;
  EXPECT_TRUE(fit(o).folder.empty());
  o = options();
  o.fast_dev_run = true;
  const auto result = fit(o);
  EXPECT_EQ(result.step, 1);
  EXPECT_TRUE(result.metrics.contains("val_loss"));
  EXPECT_FALSE(fs::exists(root));
}

TEST_F(TrainerTest, GivesEachRunAFolderOfItsOwn) {
  auto o = options();
  o.max_epochs = 1;
  for (int i = 0; i < 3; ++i) EXPECT_EQ(fit(o).folder, run(i));
  fs::remove_all(run(1));
  EXPECT_EQ(fit(o).folder, run(3));
}

TEST_F(TrainerTest, RefusesAFolderThatAnotherRunIsIn) {
  auto o = options();
  o.max_epochs = 1;
  fit(o);
  const io::FolderLock lock(run(0));
  EXPECT_THAT([&] { Trainer(o).fit(learner, data, AdamWOptions{}, std::nullopt, "last"); },
              ThrowsMessage<core::FileError>(HasSubstr("is in use by process")));
}

TEST_F(TrainerTest, RefusesAFolderThatCannotBeWrittenBeforeTraining) {
  fs::create_directories(root);
  std::ofstream(root / "default") << "a file";
  EXPECT_THROW(fit(options()), core::FileError);
  EXPECT_EQ(learner.calls[Stage::fit], 0);
}

TEST_F(TrainerTest, MakesItsCheckpointFolderAgainWhereItWasDeleted) {
  learner.before_step = [&](Stage stage, int64_t call) {
    if (stage == Stage::fit && call == 15) fs::remove_all(run(0) / "checkpoints");
  };
  const auto result = fit(options());
  EXPECT_TRUE(fs::exists(result.last_checkpoint / "model.safetensors"));
}

TEST_F(TrainerTest, GoesOnWhereACheckpointCannotBeSaved) {
  learner.before_step = [&](Stage stage, int64_t call) {
    if (stage == Stage::fit && call == 3) std::ofstream(run(0) / "checkpoints") << "in the way";
    if (stage == Stage::fit && call == 15) fs::remove(run(0) / "checkpoints");
  };
  const auto result = fit(options());
  EXPECT_EQ(result.step, 33);
  EXPECT_TRUE(fs::exists(result.last_checkpoint / "model.safetensors"));
}

TEST_F(TrainerTest, StopsEarly) {
  double loss = 1;
  learner.after_step = [&](StepOutput output, Stage stage) {
    if (stage == Stage::validate) output.loss = at::scalar_tensor(loss);
    return output;
  };
  auto o = options();
  o.max_epochs = 50;
  o.limit_val_batches = "1";
  o.early_stopping = EarlyStoppingOptions{.patience = 2};
  auto result = fit(o);
  EXPECT_EQ(result.reason, StopReason::early_stopping);
  EXPECT_EQ(result.epoch, 3);
  EXPECT_EQ(result.message, "early stopping: val_loss did not improve in the last 2 validations; the best was 1");
  EXPECT_EQ(Trainer(o).fit(learner, data, AdamWOptions{}, std::nullopt, "last").reason, StopReason::nothing_to_do);
  o.early_stopping->patience = 4;
  EXPECT_EQ(Trainer(o).fit(learner, data, AdamWOptions{}, std::nullopt, "last").epoch, 5);

  o.min_epochs = 7;
  EXPECT_EQ(fit(o).epoch, 7);
  o.min_epochs.reset();
  loss = NAN;
  result = fit(o);
  EXPECT_EQ(result.epoch, 1);
  EXPECT_EQ(result.message, "early stopping: val_loss is nan, which is not a finite number");
}

TEST_F(TrainerTest, StopsAtItsTimeEvenInAValidation) {
  auto o = options();
  o.max_epochs.reset();
  o.max_time = "1.5";
  o.num_sanity_val_steps = 0;
  learner.before_step = [](Stage stage, int64_t) {
    if (stage == Stage::validate) ::usleep(1'600'000);
  };
  const auto result = fit(o);
  EXPECT_EQ(result.reason, StopReason::max_time);
  EXPECT_EQ(result.message, "max_time = 1.5 was reached");
  EXPECT_EQ(result.step, 11);
  EXPECT_FALSE(result.metrics.contains("val_loss"));
  EXPECT_TRUE(io::load_checkpoint(result.last_checkpoint).state["position"]["validation_due"]);
  // The time counts on; an end that is later goes on with that validation.
  learner.before_step = nullptr;
  EXPECT_EQ(Trainer(o).fit(learner, data, AdamWOptions{}, std::nullopt, "last").reason, StopReason::nothing_to_do);
  o.max_time = "00:00:01:00";
  o.max_epochs = 2;
  EXPECT_EQ(Trainer(o).fit(learner, data, AdamWOptions{}, std::nullopt, "last").epoch, 2);
}

TEST_F(TrainerTest, SavesWhenItIsInterruptedBeforeTheFirstStep) {
  learner.before_step = [](Stage stage, int64_t call) {
    if (stage == Stage::validate && call == 0) ::raise(SIGINT);
  };
  const auto result = fit(options());
  EXPECT_EQ(result.reason, StopReason::interrupted);
  EXPECT_EQ(result.step, 0);
  EXPECT_TRUE(fs::exists(result.last_checkpoint / "state.json"));
}

TEST_F(TrainerTest, PutsTheHandlersOfSignalsBack) {
  ::signal(SIGUSR1, SIG_IGN);
  auto o = options();
  o.max_epochs = 1;
  learner.before_step = [](Stage, int64_t) { ::raise(SIGUSR1); };
  EXPECT_EQ(fit(o).reason, StopReason::max_epochs);
  ::signal(SIGUSR1, SIG_DFL);
  fit(o);
  struct sigaction now {};
  sigaction(SIGUSR1, nullptr, &now);
  EXPECT_EQ(now.sa_handler, SIG_DFL);
}

TEST_F(TrainerTest, StopsAtALossThatIsNotFinite) {
  const auto message_of = [&](const std::function<void(TinyLearner&)>& spoil, int64_t at, const TrainerOptions& o) {
    TinyLearner own;
    own.before_step = [&](Stage stage, int64_t call) {
      if (stage == Stage::fit && call == at) {
        at::NoGradGuard no_grad;
        spoil(own);
      }
    };
    try {
      Trainer(o).fit(own, data, SGDOptions{.lr = 0.25});
    } catch (const core::NonFiniteError& error) {
      EXPECT_EQ(error.code(), core::ExitCode::non_finite);
      return std::string(error.what());
    }
    return std::string("no error");
  };
  const auto spoil_parameter = [](TinyLearner& own) { own.model->second->bias[1].fill_(NAN); };
  EXPECT_THAT(message_of(spoil_parameter, 13, options()),
              AllOf(HasSubstr("the loss is nan at step 14 (epoch 1, batch 2) with lr 0.25: parameter 'second.bias' is "
                              "not finite"),
                    HasSubstr("the last good state is " + (run(0) / "checkpoints/last").string())));
  // The checkpoint of the first epoch is still there, and good.
  const auto kept = io::load_checkpoint(run(0) / "checkpoints/last");
  EXPECT_EQ(kept.state["position"]["step"], 11);
  EXPECT_TRUE(at::isfinite(kept.model.at("second.bias")).all().item<bool>());

  const auto spoil_loss = [](TinyLearner& own) {
    own.after_step = [](StepOutput output, Stage) {
      output.loss = output.loss / 0.0;
      return output;
    };
  };
  EXPECT_THAT(message_of(spoil_loss, 0, options()),
              HasSubstr("the loss is inf at step 1 (epoch 0, batch 0) with lr 0.25: the gradient of 'first.weight' is "
                        "not finite"));
  // The last step of all: no loss comes after it to tell.
  auto o = options();
  o.max_epochs = 1;
  o.limit_val_batches = "0";
  const auto spoil_gradient = [](TinyLearner& own) {
    own.after_step = [](StepOutput output, Stage) {
      output.loss.register_hook([](const at::Tensor& gradient) { return gradient * NAN; });
      return output;
    };
  };
  EXPECT_THAT(message_of(spoil_gradient, 10, o),
              HasSubstr("parameter 'first.weight' is not finite at step 11 (epoch 1, batch 0) with lr 0.25, and "
                        "nothing was saved"));
  o.gradient_clip_val = 1;
  EXPECT_THAT(message_of(spoil_gradient, 10, o),
              HasSubstr("the norm of the gradients is nan at step 11 (epoch 0, batch 11) with lr 0.25: that of "
                        "'first.weight' is not finite"));
}

TEST_F(TrainerTest, SaysWhatHelpsWhereMemoryRunsOut) {
  learner.before_step = [](Stage stage, int64_t) {
    if (stage == Stage::fit) at::empty({int64_t{1} << 55});
  };
  EXPECT_THAT([&] { fit(options()); },
              ThrowsMessage<core::Error>(AllOf(HasSubstr("out of memory while training: "),
                                               HasSubstr("you tried to allocate 144115188075855872 bytes"),
                                               HasSubstr("a smaller batch_size"))));
}

TEST_F(TrainerTest, NamesTheExampleThatIsNotFinite) {
  at::Tensor x = at::ones({53, 5});
  x[7][2] = INFINITY;
  data.train_set = std::make_shared<data::TensorDataset>(data::Batch{{"x", x}, {"label", at::zeros({53}, at::kLong)}});
  learner.model->first->weight.data().fill_(0);  // inf * 0 = nan
  EXPECT_THAT([&] { fit(options(), SGDOptions{.lr = 0}); },
              ThrowsMessage<core::NonFiniteError>(testing::ContainsRegex("'x' of example [0-4] of the batch is not")));
}

TEST_F(TrainerTest, RefusesAMonitorThatIsNotThereBeforeTraining) {
  auto o = options();
  o.checkpoint.monitor = "val_f1";
  expect_refused(o, "trainer.checkpoint.monitor: there is no metric 'val_f1'; there are val_acc, val_loss");
  o = options();
  o.early_stopping = EarlyStoppingOptions{.monitor = "accuracy"};
  expect_refused(o, "trainer.early_stopping.monitor: there is no metric 'accuracy'");
  expect_refused(options(), "lr_scheduler.monitor: there is no metric 'val_x'", AdamWOptions{},
                 ReduceLROnPlateauOptions{.monitor = "val_x"});
  EXPECT_EQ(learner.calls[Stage::fit], 0);
  data.with_validation = false;
  o.early_stopping = EarlyStoppingOptions{};
  expect_refused(o, "trainer.early_stopping.monitor: 'val_loss' needs validation, and there is none");
  expect_refused(options(), "lr_scheduler.monitor: 'val_loss' needs validation", AdamWOptions{},
                 ReduceLROnPlateauOptions{});
}

TEST_F(TrainerTest, RefusesWhatContradictsItself) {
  auto o = options();
  o.max_epochs.reset();
  expect_refused(o, "nothing says when training ends: set trainer.max_epochs, trainer.max_steps or trainer.max_time");
  o.max_time = "100";
  expect_refused(o, "OneCycleLR.total_steps: expected a positive number, or trainer.max_steps", AdamWOptions{},
                 OneCycleLROptions{.max_lr = 1});
  o = options();
  expect_refused(o, "OneCycleLR.total_steps: the run is 33 long, the cycle only 32", AdamWOptions{},
                 OneCycleLROptions{.max_lr = 1, .total_steps = 32});
  expect_refused(o, "OneCycleLR.cycle_momentum: Adagrad has neither momentum nor betas", AdagradOptions{},
                 OneCycleLROptions{.max_lr = 1});
  o.accumulate_grad_batches = 2;
  expect_refused(o, "trainer.accumulate_grad_batches: expected 1 with LBFGS", LBFGSOptions{});
  o = options();
  o.val_check_interval = "12";
  expect_refused(o, "trainer.val_check_interval: expected 1 to 11 (the batches of an epoch), got 12");
  o = options();
  o.limit_train_batches = "0";
  expect_refused(o, "trainer.limit_train_batches: expected at least one batch, got none");
}

TEST_F(TrainerTest, RefusesOptionsThatAreOutOfRange) {
  const auto expect = [&](const std::string& flag, const std::string& message) {
    WithTrainer o;
    EXPECT_THAT(
        [&] {
          core::assign(o, core::read_arguments({"--trainer.max_epochs=1", flag}));
          check(o.trainer);
        },
        ThrowsMessage<core::ConfigError>(HasSubstr(message)))
        << flag;
  };
  expect("--trainer.accelerator=gpu", "trainer.accelerator: expected auto or cpu");
  expect("--trainer.devices=2", "trainer.devices: expected auto or 1");
  expect("--trainer.devices=all", "trainer.devices: expected auto or 1, got 'all'");
  expect("--trainer.precision=16", "trainer.precision: expected 32, 64 or bf16: half precision needs a GPU, got 16");
  expect("--trainer.max_time=1:30", "trainer.max_time: expected a time such as 00:12:30:00");
  expect("--trainer.max_time=soon", "got 'soon'");
  expect("--trainer.limit_val_batches=1.5", "trainer.limit_val_batches: expected a number of batches, or a part");
  expect("--trainer.limit_val_batches=-3", "got '-3'");
  expect("--trainer.check_val_every_n_epoch=null", "val_check_interval: expected a number of batches where");
  expect("--trainer.gradient_clip_val=0", "trainer.gradient_clip_val: expected a number above 0, or null, got 0");
  expect("--trainer.log_every_n_steps=0", "trainer.log_every_n_steps: expected 1 or more, got 0");
  expect("--trainer.accumulate_grad_batches=0", "trainer.accumulate_grad_batches: expected 1 or more, got 0");
  expect("--trainer.early_stopping.patience=-1", "trainer.early_stopping.patience: expected 0 or more, got -1");
  expect("--trainer.checkpoint.save_top_k=-2", "trainer.checkpoint.save_top_k: expected -1 or more, got -2");
}

TEST(TrainerOptions, ReadsAmountsAndTimes) {
  EXPECT_EQ(amount_of_batches("1.0", 11, "x"), 11);
  EXPECT_EQ(amount_of_batches("0.5", 11, "x"), 5);
  EXPECT_EQ(amount_of_batches("1e-3", 11, "x"), 1);
  EXPECT_EQ(amount_of_batches("0.0", 11, "x"), 0);
  EXPECT_EQ(amount_of_batches("1", 11, "x"), 1);
  EXPECT_EQ(amount_of_batches("100", 11, "x"), 11);
  EXPECT_EQ(seconds_of("90", "x"), 90);
  EXPECT_EQ(seconds_of("0.5", "x"), 0.5);
  EXPECT_EQ(seconds_of("01:02:03:04", "x"), ((24 + 2) * 60 + 3) * 60 + 4);
  EXPECT_EQ(seconds_of("00:00:08:09", "x"), 8 * 60 + 9);
}

}  // namespace
}  // namespace perceive::train
