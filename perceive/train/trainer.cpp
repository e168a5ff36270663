// The four things that a trainer does.
#include "perceive/train/trainer.h"

#include <fmt/format.h>
#include <torch/csrc/autograd/anomaly_mode.h>

#include <limits>

#include "perceive/core/error.h"
#include "perceive/core/log.h"
#include "perceive/io/checkpoint.h"
#include "perceive/io/names.h"
#include "perceive/train/csv_logger.h"
#include "perceive/train/evaluation.h"
#include "perceive/train/fit.h"
#include "perceive/train/run_folder.h"
#include "perceive/train/tensorboard_logger.h"

namespace perceive::train {

Trainer::Trainer(const TrainerOptions& options, RunInfo info) : options_(options), info_(std::move(info)) {
  check(options_);
  if (info_.name.empty() || info_.name.find('/') != std::string::npos) {
    throw core::ConfigError(fmt::format("the name of a run must be that of a folder, got '{}'", info_.name));
  }
  if (options_.deterministic) at::globalContext().setDeterministicAlgorithms(true, /*warn_only=*/false);
}

std::filesystem::path Trainer::runs() const {
  return std::filesystem::path(options_.default_root_dir) / info_.name;
}

FitResult Trainer::fit(Learner& learner, const data::DataModule& data, const OptimizerOptions& optimizer,
                       const std::optional<ScheduleOptions>& schedule, const std::string& ckpt_path) {
  std::optional<torch::autograd::DetectAnomalyGuard> anomaly;
  if (options_.detect_anomaly) anomaly.emplace();
  std::optional<std::filesystem::path> checkpoint;
  if (!ckpt_path.empty()) checkpoint = find_checkpoint(ckpt_path, runs());
  std::error_code error;
  if (checkpoint && std::filesystem::is_regular_file(*checkpoint, error)) {
    throw core::ConfigError(fmt::format(
        "ckpt_path: {} holds weights, but not where a run of ours was; validate, test and predict take it, and fit "
        "begins with such weights where the model has clf_ckpt or mlm_ckpt",
        checkpoint->string()));
  }
  Fit fit(learner, data, options_, info_, optimizer, schedule);
  FitResult result;
  try {
    result = fit.run(runs(), checkpoint);
  } catch (const c10::Error& error) {
    const std::string what = error.what_without_backtrace();
    if (what.find("can't allocate memory") == std::string::npos) throw;
    throw core::Error(core::ExitCode::failure,
                      fmt::format("out of memory while training: {}; a smaller batch_size with a larger "
                                  "trainer.accumulate_grad_batches trains the same with less",
                                  what));
  }
  core::log_info(
      fmt::format("training ended after {} epochs and {} steps: {}", result.epoch, result.step, result.message));
  return result;
}

Trainer::Loaded Trainer::load(Learner& learner, const std::string& ckpt_path) const {
  in_precision(learner.module(), options_.precision);
  if (ckpt_path.empty()) return {};
  const auto folder = find_checkpoint(ckpt_path, runs());
  std::error_code error;
  if (std::filesystem::is_regular_file(folder, error)) {
    const auto tensors = io::without_wrapper(io::load_tensors(folder));
    for (const auto& notice : io::load_into(learner.module(), tensors, folder.string())) core::log_warning(notice);
    return {};
  }
  const io::Checkpoint checkpoint = io::load_model(folder);
  for (const auto& notice : io::load_into(learner.module(), checkpoint.model, folder.string())) {
    core::log_warning(notice);
  }
  const auto position = checkpoint.state.find("position");
  return {folder, position == checkpoint.state.end() ? 0 : position->value("step", int64_t{0})};
}

// Behind what the run that made the checkpoint has logged.
void Trainer::log(const Loaded& loaded, const Metrics& metrics) const {
  if (!options_.logger || loaded.checkpoint.empty() || metrics.empty()) return;
  const auto warn = [](const std::string& message) { core::log_warning(message); };
  try {
    const auto folder = RunFolder::of_checkpoint(loaded.checkpoint, runs());
    if (!folder) return;
    constexpr int64_t kKeepAll = std::numeric_limits<int64_t>::max();
    CsvLogger(folder->path() / "metrics.csv", warn, kKeepAll).log_scalars(loaded.step, metrics);
    TensorBoardLogger(folder->path(), warn).log_scalars(loaded.step, metrics);
  } catch (const core::FileError& error) {
    warn(fmt::format("not logged: {}", error.what()));
  }
}

EvaluationResult Trainer::evaluate(Learner& learner, std::unique_ptr<data::Loader> loader, Stage stage,
                                   const std::string& ckpt_path) const {
  const bool testing = stage == Stage::test;
  const char* what = testing ? "test" : "validate";
  if (!loader) throw core::ConfigError(fmt::format("the data has no part to {} with", what));
  const auto& limit = testing ? options_.limit_test_batches : options_.limit_val_batches;
  const Loaded loaded = load(learner, ckpt_path);
  EvaluationResult result{.checkpoint = loaded.checkpoint};
  const auto means = train::evaluate(
      learner, *loader,
      {.stage = stage,
       .batches = options_.fast_dev_run ? 1
                                        : amount_of_batches(limit, loader->batches(),
                                                            testing ? "limit_test_batches" : "limit_val_batches"),
       .title = what,
       .show_progress = options_.enable_progress_bar,
       .precision = options_.precision});
  if (!means->empty()) result.metrics = means->values(testing ? "test_" : "val_");
  log(loaded, result.metrics);
  return result;
}

EvaluationResult Trainer::validate(Learner& learner, const data::DataModule& data, const std::string& ckpt_path) {
  return evaluate(learner, data.validation(), Stage::validate, ckpt_path);
}

EvaluationResult Trainer::test(Learner& learner, const data::DataModule& data, const std::string& ckpt_path) {
  return evaluate(learner, data.test(), Stage::test, ckpt_path);
}

void Trainer::predict(Learner& learner, const data::DataModule& data, const Use& use, const std::string& ckpt_path) {
  const auto loader = data.predict();
  if (!loader) throw core::ConfigError("the data has no part to predict");
  load(learner, ckpt_path);
  for_each_batch(learner, *loader,
                 {.stage = Stage::predict,
                  .batches = options_.fast_dev_run ? 1
                                                   : amount_of_batches(options_.limit_predict_batches,
                                                                       loader->batches(), "limit_predict_batches"),
                  .title = "predict",
                  .show_progress = options_.enable_progress_bar,
                  .precision = options_.precision},
                 [&](const data::Batch& batch) { use(batch, learner.predict(batch)); });
}

}  // namespace perceive::train
