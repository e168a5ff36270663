// Trains, validates, tests and predicts with a Learner, whatever model it holds.
//
//   train::Classifier learner(model.ptr(), [&](const data::Batch& batch) { return model->forward(batch.at("image"));
//   }); train::Trainer trainer({.max_epochs = 10}); const auto result = trainer.fit(learner, data,
//   train::AdamWOptions{.lr = 1e-3});
#pragma once

#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "perceive/data/module.h"
#include "perceive/train/learner.h"
#include "perceive/train/metrics.h"
#include "perceive/train/optimizer_options.h"
#include "perceive/train/schedule_options.h"
#include "perceive/train/trainer_options.h"

namespace perceive::train {

// What the caller knows of a run besides the options.
struct RunInfo {
  std::string name = "default";                      // its folder is <default_root_dir>/<name>/version_<n>
  std::string config_yaml;                           // kept there as config.yaml, if not empty
  nlohmann::json config = nlohmann::json::object();  // kept in checkpoints; a resumed run says what differs
};

enum class StopReason { max_epochs, max_steps, max_time, early_stopping, interrupted, nothing_to_do };

struct FitResult {
  StopReason reason = StopReason::max_epochs;
  std::string message;  // the reason in words
  int64_t epoch = 0;    // epochs done
  int64_t step = 0;     // steps of the optimizer done
  Metrics metrics;      // the newest of each
  std::optional<double> best_score;
  // Empty where nothing was written.
  std::filesystem::path folder, last_checkpoint, best_checkpoint;
};

struct EvaluationResult {
  Metrics metrics;                   // val_* or test_*
  std::filesystem::path checkpoint;  // empty: the learner's own parameters
};

// `ckpt_path` is everywhere a checkpoint's folder, a run's folder (its last), `last` or `best` (of the newest run of
// this name), or empty. Errors are those of core/error.h.
class Trainer {
 public:
  explicit Trainer(const TrainerOptions& options, RunInfo info = {});

  // Resumes from `ckpt_path` if there is one: on the CPU the result is then, bit for bit, that of a run that was never
  // interrupted. SIGINT, SIGTERM and SIGUSR1 end it after the batch at hand, saved; see signals.h. Validation does not
  // change what is trained.
  FitResult fit(Learner& learner, const data::DataModule& data, const OptimizerOptions& optimizer,
                const std::optional<ScheduleOptions>& schedule = std::nullopt, const std::string& ckpt_path = "");

  // What they find is also logged to the run that the checkpoint belongs to.
  EvaluationResult validate(Learner& learner, const data::DataModule& data, const std::string& ckpt_path = "");
  EvaluationResult test(Learner& learner, const data::DataModule& data, const std::string& ckpt_path = "");

  // Calls `use` for each batch in order, with what the learner said of it.
  using Use = std::function<void(const data::Batch& batch, const data::Batch& prediction)>;
  void predict(Learner& learner, const data::DataModule& data, const Use& use, const std::string& ckpt_path = "");

  // Parameters and buffers of a checkpoint; nothing where `ckpt_path` is empty.
  struct Loaded {
    std::filesystem::path checkpoint;
    int64_t step = 0;
  };
  Loaded load(Learner& learner, const std::string& ckpt_path) const;

 private:
  std::filesystem::path runs() const;
  void log(const Loaded& loaded, const Metrics& metrics) const;
  EvaluationResult evaluate(Learner& learner, std::unique_ptr<data::Loader> loader, Stage stage,
                            const std::string& ckpt_path) const;

  TrainerOptions options_;
  RunInfo info_;
};

}  // namespace perceive::train
