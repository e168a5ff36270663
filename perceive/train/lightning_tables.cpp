// What differs between the options of Lightning 1.6 and torch and ours.
#include "perceive/train/lightning_tables.h"

namespace perceive::train {
namespace {

constexpr const char* kAlone = "one process trains; there is nothing to distribute";
constexpr const char* kCpu = "this build computes on the CPU; leave it out";
constexpr const char* kOneForm = "there is one implementation of each optimizer";

}  // namespace

const std::map<std::string, Foreign>& foreign_options() {
  static const std::map<std::string, Foreign> options{
      {"trainer.amp_backend", {{"null", "native"}, "say trainer.precision"}},
      {"trainer.amp_level", {{"null"}, "say trainer.precision"}},
      {"trainer.auto_select_gpus", {{"null", "false"}, kCpu}},
      {"trainer.barebones",
       {{"false"}, "say logger, enable_checkpointing, enable_progress_bar and enable_model_summary"}},
      {"trainer.benchmark", {{"null", "false"}, "there is no cuDNN here"}},
      {"trainer.checkpoint_callback", {{"null", "true"}, "say trainer.enable_checkpointing"}},
      {"trainer.flush_logs_every_n_steps", {{"*"}, ""}},
      {"trainer.gpus", {{"null", "0", ""}, kCpu}},
      {"trainer.inference_mode", {{"*"}, ""}},
      {"trainer.ipus", {{"null"}, kCpu}},
      {"trainer.log_gpu_memory", {{"null", "false"}, kCpu}},
      {"trainer.move_metrics_to_cpu", {{"*"}, ""}},
      {"trainer.multiple_trainloader_mode", {{"max_size_cycle"}, "there is one loader to train with"}},
      {"trainer.num_nodes", {{"null", "1"}, kAlone}},
      {"trainer.num_processes", {{"null", "1"}, "one process trains, with all cores"}},
      {"trainer.overfit_batches", {{"null", "0", "0.0"}, "say trainer.limit_train_batches, and turn shuffling off"}},
      {"trainer.plugins", {{"null"}, "there are none"}},
      {"trainer.prepare_data_per_node", {{"*"}, ""}},
      {"trainer.process_position", {{"null", "0"}, "there is one progress bar"}},
      {"trainer.profiler", {{"null"}, "measure with `perceive bench`, or with perf"}},
      {"trainer.progress_bar_refresh_rate", {{"null"}, "say trainer.enable_progress_bar"}},
      {"trainer.reload_dataloaders_every_n_epochs",
       {{"null", "0"}, "loaders live for the whole run; they shuffle anew in each epoch"}},
      {"trainer.replace_sampler_ddp", {{"*"}, ""}},
      {"trainer.resume_from_checkpoint", {{"null"}, "say --ckpt_path"}},
      {"trainer.stochastic_weight_avg", {{"false"}, "weights are not averaged; a schedule that falls serves as well"}},
      {"trainer.strategy",
       {{"null", "auto", "single_device", "dp", "ddp", "ddp_spawn", "ddp_fork", "ddp_static_graph",
         "ddp_find_unused_parameters_false", "ddp_find_unused_parameters_true",
         "ddp_spawn_find_unused_parameters_false"},
        kAlone}},
      {"trainer.sync_batchnorm", {{"null", "false"}, "one process trains; there is nothing to synchronise"}},
      {"trainer.terminate_on_nan", {{"null", "true"}, "training always stops where the loss is NaN"}},
      {"trainer.tpu_cores", {{"null"}, kCpu}},
      {"trainer.track_grad_norm", {{"-1"}, "gradient norms are not logged"}},
      {"trainer.use_distributed_sampler", {{"*"}, ""}},
      {"trainer.weights_save_path", {{"null"}, "say trainer.default_root_dir"}},
      {"trainer.weights_summary", {{"top", "full"}, "say trainer.enable_model_summary"}},
      {"trainer.checkpoint.auto_insert_metric_name", {{"true"}, "names of checkpoints always name their metrics"}},
      {"trainer.checkpoint.dirpath", {{"null"}, "checkpoints lie in the run's folder; say trainer.default_root_dir"}},
      {"trainer.checkpoint.every_n_epochs", {{"null", "1"}, "say trainer.check_val_every_n_epoch"}},
      {"trainer.checkpoint.save_on_train_epoch_end",
       {{"null", "false"}, "what is best is known after a validation; monitor=null keeps the newest"}},
      {"trainer.checkpoint.save_weights_only", {{"false"}, "checkpoints hold all that a run needs to go on"}},
      {"trainer.checkpoint.train_time_interval", {{"null"}, "say trainer.checkpoint.every_n_train_steps"}},
      {"trainer.checkpoint.verbose", {{"*"}, ""}},
      {"trainer.early_stopping.check_on_train_epoch_end", {{"null", "false"}, "it looks after each validation"}},
      {"trainer.early_stopping.strict", {{"true"}, "a metric that is not there always ends the run"}},
      {"trainer.early_stopping.verbose", {{"*"}, ""}},
      {"LearningRateMonitor.logging_interval", {{"*"}, ""}},
      {"LearningRateMonitor.log_momentum", {{"false"}, "momentum is not logged"}},
      {"optimizer.capturable", {{"*"}, ""}},
      {"optimizer.differentiable", {{"false"}, "nothing differentiates through a step"}},
      {"optimizer.foreach", {{"*"}, ""}},
      {"optimizer.fused", {{"null", "false"}, kOneForm}},
      {"optimizer.maximize", {{"null", "false"}, "training makes the loss small"}},
      {"lr_scheduler.last_epoch", {{"-1"}, "say --ckpt_path, and the schedule goes on where the run was"}},
      {"lr_scheduler.scale_fn", {{"null"}, "a function cannot be given on the command line; say mode"}},
      {"lr_scheduler.scale_mode", {{"*"}, ""}},
      {"lr_scheduler.verbose", {{"*"}, ""}},
  };
  return options;
}

const std::map<std::pair<std::string, std::string>, const char*>& other_words() {
  static const std::map<std::pair<std::string, std::string>, const char*> words{
      {{"trainer.accelerator", "null"}, "auto"},
      {{"trainer.accumulate_grad_batches", "null"}, "1"},
      {{"trainer.auto_scale_batch_size", "false"}, "null"},
      {{"trainer.auto_scale_batch_size", "true"}, "power"},
      {{"trainer.default_root_dir", "null"}, "logs"},
      {{"trainer.deterministic", "null"}, "false"},
      {{"trainer.devices", "null"}, "auto"},
      {{"trainer.devices", "-1"}, "auto"},
      {{"trainer.fast_dev_run", "0"}, "false"},
      {{"trainer.fast_dev_run", "1"}, "true"},
      {{"trainer.gradient_clip_algorithm", "null"}, "norm"},
      {{"trainer.limit_predict_batches", "null"}, "1.0"},
      {{"trainer.limit_test_batches", "null"}, "1.0"},
      {{"trainer.limit_train_batches", "null"}, "1.0"},
      {{"trainer.limit_val_batches", "null"}, "1.0"},
      {{"trainer.logger", "CSVLogger"}, "true"},
      {{"trainer.logger", "TensorBoardLogger"}, "true"},
      {{"trainer.max_steps", "null"}, "-1"},
      {{"trainer.val_check_interval", "null"}, "1.0"},
      {{"trainer.checkpoint.filename", "null"}, "{epoch:03d}-{val_loss:.3f}"},
      {{"trainer.checkpoint.save_last", "null"}, "true"},
  };
  return words;
}

const std::map<std::string, const char*>& refused_forms() {
  static const std::map<std::string, const char*> reasons{
      {"trainer.accumulate_grad_batches", "one number serves the whole run"},
      {"trainer.devices", "one process trains on the whole CPU; say 1 or auto"},
      {"trainer.logger", "all runs are logged as CSV and for TensorBoard; say true or false"},
      {"trainer.max_time", "say it as DD:HH:MM:SS"},
  };
  return reasons;
}

const std::map<std::string, const char*>& refused_classes() {
  static const std::map<std::string, const char*> reasons{
      {"optimizer.SparseAdam", "no gradient is sparse here; Adam makes the same steps"},
      {"lr_scheduler.LambdaLR",
       "a function cannot be given on the command line; SequentialLR joins schedules one after the other"},
      {"lr_scheduler.MultiplicativeLR",
       "a function cannot be given on the command line; ExponentialLR has a constant factor"},
      {"lr_scheduler.ChainedScheduler",
       "schedules do not run at the same time; SequentialLR joins them one after the other"},
  };
  return reasons;
}

}  // namespace perceive::train
