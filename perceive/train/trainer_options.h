// How long and in what manner to train, by the names of Lightning's Trainer.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "perceive/train/early_stopping.h"
#include "perceive/train/model_checkpoint.h"

namespace perceive::train {

enum class Accelerator { automatic, cpu, gpu };
constexpr auto enum_names(Accelerator) {
  return std::array{std::pair{Accelerator::automatic, "auto"}, std::pair{Accelerator::cpu, "cpu"},
                    std::pair{Accelerator::gpu, "gpu"}};
}
// bf16 is mixed: parameters stay in fp32, see autocast.h.
enum class Precision { fp32, fp64, bf16, fp16 };
constexpr auto enum_names(Precision) {
  return std::array{std::pair{Precision::fp32, "32"},   std::pair{Precision::fp32, "32-true"},
                    std::pair{Precision::fp64, "64"},   std::pair{Precision::fp64, "64-true"},
                    std::pair{Precision::bf16, "bf16"}, std::pair{Precision::bf16, "bf16-mixed"},
                    std::pair{Precision::fp16, "16"},   std::pair{Precision::fp16, "16-mixed"}};
}
enum class ClipAlgorithm { norm, value };
constexpr auto enum_names(ClipAlgorithm) {
  return std::array{std::pair{ClipAlgorithm::norm, "norm"}, std::pair{ClipAlgorithm::value, "value"}};
}

enum class BatchSearch { power, binsearch };
constexpr auto enum_names(BatchSearch) {
  return std::array{std::pair{BatchSearch::power, "power"}, std::pair{BatchSearch::binsearch, "binsearch"}};
}

// Unlike Lightning's: the end must be set; the last step of an epoch, if it has fewer batches than
// accumulate_grad_batches, takes the mean of those; a run that reaches max_steps within an epoch ends with a
// validation.
//
// Amounts of batches are texts: one with a point or an exponent is a part of an epoch ("0.25", "1.0" is all of it), one
// without is a number of batches ("100", "1" is one batch).
struct TrainerOptions {
  std::string default_root_dir = "logs";
  std::optional<std::string> name;
  Accelerator accelerator = Accelerator::automatic;
  std::string devices = "auto";
  Precision precision = Precision::fp32;
  std::optional<int64_t> max_epochs;
  int64_t max_steps = -1;
  std::optional<std::string> max_time;
  std::optional<int64_t> min_epochs;
  std::optional<int64_t> min_steps;
  std::string limit_train_batches = "1.0";
  std::string limit_val_batches = "1.0";
  std::string limit_test_batches = "1.0";
  std::string limit_predict_batches = "1.0";
  std::string val_check_interval = "1.0";
  std::optional<int64_t> check_val_every_n_epoch = 1;
  int64_t num_sanity_val_steps = 2;
  int64_t log_every_n_steps = 50;
  std::optional<double> gradient_clip_val;
  ClipAlgorithm gradient_clip_algorithm = ClipAlgorithm::norm;
  int64_t accumulate_grad_batches = 1;
  bool logger = true;
  bool enable_checkpointing = true;
  bool enable_progress_bar = true;
  bool enable_model_summary = true;
  bool deterministic = false;
  bool detect_anomaly = false;
  bool fast_dev_run = false;
  bool auto_lr_find = false;
  std::optional<BatchSearch> auto_scale_batch_size;
  ModelCheckpointOptions checkpoint;
  std::optional<EarlyStoppingOptions> early_stopping;
};
template <class Visitor>
void visit(TrainerOptions& o, Visitor&& field) {
  field("default_root_dir", o.default_root_dir, "folder that gets a folder for each run");
  field("name", o.name, "folder of the runs in it; default: the task's name");
  field("accelerator", o.accelerator, "where to compute");
  field("devices", o.devices, "how many; auto or 1");
  field("precision", o.precision, "numbers to compute with; bf16 is mixed with 32");
  field("max_epochs", o.max_epochs, "stop after so many epochs; -1: no limit");
  field("max_steps", o.max_steps, "stop after so many steps of the optimizer; -1: no limit");
  field("max_time", o.max_time, "stop after this time: DD:HH:MM:SS, or seconds; resumed runs go on counting");
  field("min_epochs", o.min_epochs, "max_time and early stopping wait for so many epochs");
  field("min_steps", o.min_steps, "max_time and early stopping wait for so many steps");
  field("limit_train_batches", o.limit_train_batches, "batches of an epoch: 100 are 100, 0.25 is a quarter");
  field("limit_val_batches", o.limit_val_batches, "batches of a validation; 0: none");
  field("limit_test_batches", o.limit_test_batches, "batches of a test");
  field("limit_predict_batches", o.limit_predict_batches, "batches to predict");
  field("val_check_interval", o.val_check_interval, "validate after so many batches: 100, or 0.25 of an epoch");
  field("check_val_every_n_epoch", o.check_val_every_n_epoch,
        "validate in every n-th epoch; null: val_check_interval counts on from epoch to epoch");
  field("num_sanity_val_steps", o.num_sanity_val_steps, "batches of a trial validation before training; -1: all");
  field("log_every_n_steps", o.log_every_n_steps, "log train_* and lr-* every so many steps");
  field("gradient_clip_val", o.gradient_clip_val, "limit of the gradient; null: none");
  field("gradient_clip_algorithm", o.gradient_clip_algorithm, "what is limited: the norm of all, or each value");
  field("accumulate_grad_batches", o.accumulate_grad_batches, "batches whose mean gradient makes one step");
  field("logger", o.logger, "write metrics.csv and TensorBoard events");
  field("enable_checkpointing", o.enable_checkpointing, "save checkpoints");
  field("enable_progress_bar", o.enable_progress_bar, "show how far the work has come");
  field("enable_model_summary", o.enable_model_summary, "say how many parameters there are");
  field("deterministic", o.deterministic, "refuse operations without a deterministic form");
  field("detect_anomaly", o.detect_anomaly, "find the operation whose gradient is NaN; slow");
  field("fast_dev_run", o.fast_dev_run, "one batch of everything, and nothing written");
  field("auto_lr_find", o.auto_lr_find, "tune: search for a learning rate");
  field("auto_scale_batch_size", o.auto_scale_batch_size,
        "tune: search for the largest batch in memory, by doubling (power) and then halving the gap (binsearch)");
  field("checkpoint", o.checkpoint, "which checkpoints are kept");
  field("early_stopping", o.early_stopping, "when to give up; null: never");
}

// Throws core::ConfigError for what is out of range, contradicts itself, or cannot be had here.
void check(const TrainerOptions& options);

bool is_part_of_epoch(const std::string& amount);
// How many of `batches` the amount is: a part above 0 is at least one. `option` is named where it is no amount.
int64_t amount_of_batches(const std::string& amount, int64_t batches, const std::string& option);
// Of "DD:HH:MM:SS" or a number of seconds.
double seconds_of(const std::string& time, const std::string& option);

}  // namespace perceive::train
