// One run of training, from its start or from a checkpoint.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "perceive/io/checkpoint.h"
#include "perceive/train/logger.h"
#include "perceive/train/optimizer.h"
#include "perceive/train/position.h"
#include "perceive/train/run_folder.h"
#include "perceive/train/schedule.h"
#include "perceive/train/signals.h"
#include "perceive/train/trainer.h"

namespace perceive::train {

// An epoch is: batches, a validation after some of them, the end. A checkpoint can be made between any two of these;
// `at_` says between which.
class Fit {
 public:
  Fit(Learner& learner, const data::DataModule& data, const TrainerOptions& options, const RunInfo& info,
      const OptimizerOptions& optimizer, const std::optional<ScheduleOptions>& schedule);

  // `runs` is the folder of the folders of the runs.
  FitResult run(const std::filesystem::path& runs, const std::optional<std::filesystem::path>& resume_from);

 private:
  // fit_setup.cpp
  void check_monitors() const;
  Schedule complete_schedule(std::optional<ScheduleOptions> options) const;
  void open_folder(const std::filesystem::path& runs);
  void open_loggers();
  void say_what_will_run() const;

  // fit.cpp
  void sanity_check();
  void run_epoch();
  void end_epoch();
  bool validate();  // false where it was interrupted
  void check_metrics(const Metrics& metrics) const;
  bool validation_follows() const;
  bool should_stop();
  bool out_of_time() const;
  void stop(StopReason reason, const std::string& message);
  void log(const Metrics& metrics);
  void log_samples();
  FitResult result() const;

  // fit_step.cpp
  void train_batch(const data::Batch& batch);
  at::Tensor compute_gradients(const data::Batch& batch, int64_t parts, Means* means);
  void step(const data::Batch& last_batch);
  [[noreturn]] void refuse_loss(double loss, const at::Tensor& loss_tensor, const data::Batch& batch) const;
  std::string where(int64_t step) const;
  std::string advice() const;

  // fit_checkpoint.cpp
  void save(int64_t epoch, bool is_final);
  io::Checkpoint checkpoint() const;
  void restore(const io::Checkpoint& checkpoint, const std::filesystem::path& from);
  void tell_differences(const nlohmann::json& before) const;
  std::filesystem::path path_of_last() const { return folder_->checkpoints() / "last"; }

  Learner& learner_;
  torch::nn::Module& module_;
  TrainerOptions options_;
  const RunInfo& info_;
  std::string data_fingerprint_;
  std::unique_ptr<data::Loader> train_, validation_;  // validation_ is null where there is nothing to validate
  int64_t batches_ = 0, validation_batches_ = 0;      // of an epoch
  int64_t validation_interval_ = 0;                   // batches
  Optimizer optimizer_;
  Schedule schedule_;
  ModelCheckpoint best_;
  std::optional<EarlyStopping> early_stopping_;
  std::optional<RunFolder> folder_;
  std::vector<std::unique_ptr<Logger>> loggers_;
  StopSignals signals_;

  Position at_;
  Means window_;       // of the batches that wait for a step
  Metrics metrics_;    // the newest of each
  double started_at_;  // on core::seconds_now()
  bool validated_since_save_ = false;
  bool changed_since_save_ = false;
  std::optional<StopReason> stop_;
  std::string stop_message_;
};

}  // namespace perceive::train
