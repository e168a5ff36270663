#include "perceive/train/lightning_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "perceive/core/config.h"
#include "perceive/core/error.h"
#include "perceive/train/optimizer_options.h"
#include "perceive/train/schedule_options.h"
#include "perceive/train/trainer_options.h"

namespace perceive::train {

struct LightningCase {
  TrainerOptions trainer;
  std::optional<OptimizerOptions> optimizer;
  std::optional<ScheduleOptions> lr_scheduler;
};
template <class Visitor>
void visit(LightningCase& o, Visitor&& field) {
  field("trainer", o.trainer, "");
  field("optimizer", o.optimizer, "");
  field("lr_scheduler", o.lr_scheduler, "");
}

namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;
using Words = std::vector<std::string>;

LightningCase read(const Words& words) {
  LightningCase options;
  core::assign(options, from_lightning(core::read_arguments(words)));
  return options;
}
LightningCase read_file(const std::string& yaml) {
  LightningCase options;
  core::assign(options, from_lightning({core::parse_yaml(yaml, "config.yaml")}));
  return options;
}
void expect_refused(const std::string& flag, const std::string& message) {
  EXPECT_THAT([&] { read({flag}); }, ThrowsMessage<core::ConfigError>(HasSubstr(message))) << flag;
}

// The Trainer's arguments in the config.yaml that Lightning 1.6 writes for perceiver-io, with its trainer.yaml.
constexpr const char* kTrainerYaml = R"(
trainer:
  logger: true
  checkpoint_callback: null
  enable_checkpointing: true
  callbacks:
  - class_path: pytorch_lightning.callbacks.LearningRateMonitor
    init_args:
      logging_interval: step
      log_momentum: false
  - class_path: pytorch_lightning.callbacks.ModelCheckpoint
    init_args:
      dirpath: null
      filename: '{epoch:03d}-{val_loss:.3f}'
      monitor: val_loss
      verbose: false
      save_last: null
      save_top_k: 1
      save_weights_only: false
      mode: min
      auto_insert_metric_name: true
      every_n_train_steps: null
      train_time_interval: null
      every_n_epochs: null
      save_on_train_epoch_end: null
  default_root_dir: logs
  gradient_clip_val: null
  gradient_clip_algorithm: null
  process_position: 0
  num_nodes: 1
  num_processes: null
  devices: null
  gpus: null
  auto_select_gpus: false
  tpu_cores: null
  ipus: null
  log_gpu_memory: null
  progress_bar_refresh_rate: null
  enable_progress_bar: true
  overfit_batches: 0.0
  track_grad_norm: -1
  check_val_every_n_epoch: 1
  fast_dev_run: false
  accumulate_grad_batches: null
  max_epochs: null
  min_epochs: null
  max_steps: -1
  min_steps: null
  max_time: null
  limit_train_batches: null
  limit_val_batches: null
  limit_test_batches: null
  limit_predict_batches: null
  val_check_interval: null
  flush_logs_every_n_steps: null
  log_every_n_steps: 50
  accelerator: null
  strategy: ddp_find_unused_parameters_false
  sync_batchnorm: false
  precision: 32
  enable_model_summary: true
  weights_summary: top
  weights_save_path: null
  num_sanity_val_steps: 2
  resume_from_checkpoint: null
  profiler: null
  benchmark: null
  deterministic: false
  reload_dataloaders_every_n_epochs: 0
  auto_lr_find: false
  replace_sampler_ddp: true
  detect_anomaly: false
  auto_scale_batch_size: false
  prepare_data_per_node: null
  plugins: null
  amp_backend: native
  amp_level: null
  move_metrics_to_cpu: false
  multiple_trainloader_mode: max_size_cycle
  stochastic_weight_avg: false
  terminate_on_nan: null
)";

TEST(LightningOptions, TheReferencesTrainerIsOurDefault) {
  EXPECT_EQ(core::to_yaml(read_file(kTrainerYaml)), core::to_yaml(LightningCase{}));
}

TEST(LightningOptions, EveryOptionOfTheTrainerWorksOrIsRefusedWithAReason) {
  EXPECT_FALSE(read({"--trainer.logger=false"}).trainer.logger);
  EXPECT_TRUE(read({"--trainer.logger=pytorch_lightning.loggers.TensorBoardLogger"}).trainer.logger);
  const auto logger =
      read({"--trainer.logger=TensorBoardLogger", "--trainer.logger.save_dir=there", "--trainer.logger.name=mine"});
  EXPECT_TRUE(logger.trainer.logger);
  EXPECT_EQ(logger.trainer.default_root_dir, "there");
  EXPECT_EQ(logger.trainer.name, "mine");
  EXPECT_FALSE(read({"--trainer.enable_checkpointing=false"}).trainer.enable_checkpointing);
  EXPECT_EQ(read({"--trainer.default_root_dir=here"}).trainer.default_root_dir, "here");
  EXPECT_EQ(read({"--trainer.gradient_clip_val=0.5"}).trainer.gradient_clip_val, 0.5);
  EXPECT_EQ(read({"--trainer.gradient_clip_algorithm=value"}).trainer.gradient_clip_algorithm, ClipAlgorithm::value);
  EXPECT_EQ(read({"--trainer.accumulate_grad_batches=4"}).trainer.accumulate_grad_batches, 4);
  EXPECT_EQ(read({"--trainer.precision=bf16"}).trainer.precision, Precision::bf16);
  EXPECT_EQ(read({"--trainer.limit_val_batches=0.5", "--trainer.limit_val_batches=null"}).trainer.limit_val_batches,
            "1.0");
  EXPECT_TRUE(read({"--trainer.auto_lr_find"}).trainer.auto_lr_find);
  EXPECT_EQ(read({"--trainer.auto_scale_batch_size"}).trainer.auto_scale_batch_size, BatchSearch::power);
  EXPECT_EQ(read({"--trainer.auto_scale_batch_size=binsearch"}).trainer.auto_scale_batch_size, BatchSearch::binsearch);
  for (const auto* strategy : {"ddp", "ddp_static_graph", "ddp_spawn", "dp", "null", "single_device"}) {
    EXPECT_NO_THROW(read({std::string("--trainer.strategy=") + strategy}));
  }
  const auto expect_refused_option = [](const std::string& option, const std::string& value, const std::string& why) {
    expect_refused("--trainer." + option + "=" + value,
                   "--trainer." + option + "=" + value + ": trainer." + option + " is not supported: " + why);
  };
  expect_refused_option("strategy", "deepspeed_stage_2", "one process trains; there is nothing to distribute");
  expect_refused_option("num_nodes", "2", "one process trains");
  expect_refused_option("num_processes", "2", "one process trains, with all cores");
  expect_refused_option("gpus", "2", "this build computes on the CPU");
  expect_refused_option("tpu_cores", "8", "this build computes on the CPU");
  expect_refused_option("ipus", "8", "this build computes on the CPU");
  expect_refused_option("auto_select_gpus", "true", "this build computes on the CPU");
  expect_refused_option("log_gpu_memory", "all", "this build computes on the CPU");
  expect_refused_option("sync_batchnorm", "true", "one process trains; there is nothing to synchronise");
  expect_refused_option("checkpoint_callback", "false", "say trainer.enable_checkpointing");
  expect_refused_option("resume_from_checkpoint", "x.ckpt", "say --ckpt_path");
  expect_refused_option("weights_save_path", "x", "say trainer.default_root_dir");
  expect_refused_option("weights_summary", "null", "say trainer.enable_model_summary");
  expect_refused_option("progress_bar_refresh_rate", "5", "say trainer.enable_progress_bar");
  expect_refused_option("process_position", "1", "there is one progress bar");
  expect_refused_option("terminate_on_nan", "false", "training always stops where the loss is NaN");
  expect_refused_option("overfit_batches", "3", "say trainer.limit_train_batches");
  expect_refused_option("profiler", "simple", "measure with `perceive bench`");
  expect_refused_option("plugins", "slurm", "there are none");
  expect_refused_option("benchmark", "true", "there is no cuDNN here");
  expect_refused_option("amp_backend", "apex", "say trainer.precision");
  expect_refused_option("amp_level", "O2", "say trainer.precision");
  expect_refused_option("reload_dataloaders_every_n_epochs", "1", "loaders live for the whole run");
  expect_refused_option("track_grad_norm", "2", "gradient norms are not logged");
  expect_refused_option("multiple_trainloader_mode", "min_size", "there is one loader");
  expect_refused_option("stochastic_weight_avg", "true", "weights are not averaged");
  EXPECT_TRUE(read({"--trainer.fast_dev_run=1"}).trainer.fast_dev_run);
  const auto expect_refused_form = [](const std::string& option, const std::string& value, const std::string& why) {
    expect_refused("--trainer." + option + "=" + value,
                   "a list or mapping for trainer." + option + " is not supported: " + why);
  };
  expect_refused_form("devices", "[0, 1]", "one process trains on the whole CPU");
  expect_refused_form("max_time", "{hours: 1}", "say it as DD:HH:MM:SS");
  expect_refused_form("accumulate_grad_batches", "{0: 2}", "one number serves the whole run");
  expect_refused_form("logger", "[TensorBoardLogger]", "all runs are logged as CSV and for TensorBoard");
  expect_refused("--trainer.logger=pytorch_lightning.loggers.WandbLogger",
                 "trainer.logger=pytorch_lightning.loggers.WandbLogger is not supported: all runs are logged");
}

TEST(LightningOptions, ALoggerMaySayWhatItSaysByItself) {
  const auto o = read_file(
      "trainer:\n  logger:\n    class_path: pytorch_lightning.loggers.TensorBoardLogger\n    init_args:\n"
      "      save_dir: logs\n      name: mlm\n      version: null\n      log_graph: false\n"
      "      default_hp_metric: true\n      prefix: ''\n      sub_dir: null\n");
  EXPECT_EQ(o.trainer.name, "mlm");
  expect_refused("--trainer.logger.log_graph=true", "trainer.logger.log_graph is not supported");
}

TEST(LightningOptions, CallbacksBecomeOptions) {
  const auto o = read({"--trainer.callbacks=[{class_path: EarlyStopping, init_args: {monitor: val_acc, mode: max, "
                       "verbose: true}}, LearningRateMonitor, {class_path: ModelCheckpoint, init_args: {monitor: "
                       "val_acc, mode: max, save_top_k: 3, filename: null}}]"})
                     .trainer;
  ASSERT_TRUE(o.early_stopping);
  EXPECT_EQ(o.early_stopping->monitor, "val_acc");
  EXPECT_EQ(o.early_stopping->mode, Goal::max);
  EXPECT_EQ(o.checkpoint.monitor, "val_acc");
  EXPECT_EQ(o.checkpoint.save_top_k, 3);
  EXPECT_EQ(o.checkpoint.filename, ModelCheckpointOptions{}.filename);
  EXPECT_NO_THROW(read({"--trainer.callbacks=LearningRateMonitor", "--trainer.callbacks+=ModelCheckpoint"}));
  EXPECT_NO_THROW(read({"--trainer.callbacks=null"}));
  expect_refused("--trainer.callbacks=StochasticWeightAveraging",
                 "trainer.callbacks: StochasticWeightAveraging is not supported: there are ModelCheckpoint, ");
  expect_refused("--trainer.callbacks.monitor=val_acc", "trainer.callbacks is not supported: there are");
  expect_refused("--trainer.callbacks=[{class_path: ModelCheckpoint, init_args: {dirpath: x}}]",
                 "trainer.checkpoint.dirpath is not supported: checkpoints lie in the run's folder");
  expect_refused("--trainer.callbacks=[{class_path: LearningRateMonitor, init_args: {log_momentum: true}}]",
                 "LearningRateMonitor.log_momentum is not supported: momentum is not logged");
  expect_refused("--trainer.callbacks=[{class_path: ModelCheckpoint, init_args: {monitr: x}}]", "monitor");
}

TEST(LightningOptions, OptimizersTakeTheArgumentsThatMeanNothingHere) {
  const auto o = read_file(R"(
optimizer:
  class_path: torch.optim.adamw.AdamW
  init_args: {lr: 0.5, betas: [0.9, 0.999], eps: 1e-08, weight_decay: 0.01, amsgrad: false, maximize: false,
              foreach: null, capturable: false, differentiable: false, fused: null}
lr_scheduler:
  class_path: torch.optim.lr_scheduler.ExponentialLR
  init_args: {gamma: 0.5, last_epoch: -1, verbose: false}
)");
  EXPECT_EQ(learning_rate(*o.optimizer), 0.5);
  EXPECT_EQ(name(*o.lr_scheduler), "ExponentialLR");
  EXPECT_NO_THROW(read({"--lr_scheduler={class_path: CyclicLR, init_args: {scale_fn: null, scale_mode: cycle}}"}));
  expect_refused("--lr_scheduler={class_path: CyclicLR, init_args: {scale_fn: f}}", "scale_fn is not supported: a ");
  expect_refused("--optimizer={class_path: SGD, init_args: {maximize: true}}",
                 "optimizer.maximize is not supported: training makes the loss small");
  expect_refused("--optimizer.fused=true", "optimizer.fused is not supported: there is one implementation");
  expect_refused("--optimizer=SparseAdam", "optimizer=SparseAdam is not supported: no gradient is sparse here; Adam");
}

TEST(LightningOptions, EveryScheduleOfTorchIsThereOrRefusedWithAReason) {
  for (const auto* name :
       {"StepLR", "MultiStepLR", "ConstantLR", "LinearLR", "ExponentialLR", "SequentialLR", "CosineAnnealingLR",
        "ReduceLROnPlateau", "CyclicLR", "CosineAnnealingWarmRestarts", "OneCycleLR", "PolynomialLR"}) {
    EXPECT_EQ(train::name(*read({std::string("--lr_scheduler=torch.optim.lr_scheduler.") + name}).lr_scheduler), name);
  }
  for (const auto* name : {"LambdaLR", "MultiplicativeLR", "ChainedScheduler"}) {
    expect_refused(std::string("--lr_scheduler=") + name, std::string(name) + " is not supported: ");
  }
  for (const auto* name : {"Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "ASGD", "LBFGS", "NAdam", "RAdam",
                           "RMSprop", "Rprop", "SGD"}) {
    EXPECT_EQ(train::name(*read({std::string("--optimizer=") + name}).optimizer), name);
  }
}

}  // namespace
}  // namespace perceive::train
