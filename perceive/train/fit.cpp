// The loop: epochs, validations, and when to stop.
#include "perceive/train/fit.h"

#include <fmt/format.h>
#include <signal.h>

#include <cstring>

#include "perceive/core/error.h"
#include "perceive/core/log.h"
#include "perceive/core/progress.h"
#include "perceive/train/autocast.h"
#include "perceive/train/evaluation.h"
#include "perceive/train/random.h"

namespace perceive::train {

FitResult Fit::run(const std::filesystem::path& runs, const std::optional<std::filesystem::path>& resume_from) {
  if (resume_from) {
    folder_ = RunFolder::of_checkpoint(*resume_from, runs);
    restore(io::load_checkpoint(*resume_from), *resume_from);
  }
  changed_since_save_ = !folder_.has_value();  // what a new folder does not have yet
  open_folder(runs);
  open_loggers();
  say_what_will_run();

  module_.train();
  optimizer_.set_lr(schedule_.rates().lr);
  if (!resume_from) sanity_check();
  const Position before = at_;
  while (!should_stop()) run_epoch();
  const bool unfinished = stop_ == StopReason::interrupted || stop_ == StopReason::max_time;
  if (changed_since_save_ && (unfinished || options_.checkpoint.save_last)) save(at_.epoch, /*is_final=*/true);
  for (const auto& logger : loggers_) logger->flush();

  const bool nothing_done = at_.all_batches == before.all_batches && at_.epoch == before.epoch;
  if (resume_from && nothing_done && stop_ != StopReason::interrupted) {
    stop(StopReason::nothing_to_do, "nothing to do: " + stop_message_ + " before");
  }
  return result();
}

void Fit::sanity_check() {
  if (!validation_ || options_.num_sanity_val_steps == 0) return;
  const KeepRandomState keep;
  const int64_t batches = options_.num_sanity_val_steps < 0
                              ? validation_batches_
                              : std::min(validation_batches_, options_.num_sanity_val_steps);
  const auto means = evaluate(learner_, *validation_,
                              {.stage = Stage::validate,
                               .batches = batches,
                               .title = "sanity check",
                               .show_progress = options_.enable_progress_bar,
                               .precision = options_.precision,
                               .stop = [this] { return signals_.received() != 0; }});
  if (!means) return;
  check_metrics(means->values("val_"));
  log_samples();
}

// A monitor that is not there is told at once, not after an epoch. Those of training come later.
void Fit::check_metrics(const Metrics& metrics) const {
  const auto check_one = [&](const std::string& monitor, const char* option) {
    if (!monitor.starts_with("train_")) monitored(metrics, monitor, option);
  };
  if (options_.enable_checkpointing && best_.options().monitor && best_.options().save_top_k != 0) {
    check_one(*best_.options().monitor, "trainer.checkpoint.monitor");
  }
  if (early_stopping_) check_one(early_stopping_->options().monitor, "trainer.early_stopping.monitor");
  if (const auto monitor = schedule_.monitor()) check_one(*monitor, "lr_scheduler.monitor");
}

void Fit::run_epoch() {
  const std::string total = options_.max_epochs.value_or(-1) > 0 ? fmt::format("/{}", *options_.max_epochs) : "";
  core::Progress progress(fmt::format("fit {}{}", at_.epoch + 1, total), batches_,
                          {.enabled = options_.enable_progress_bar}, at_.batch);
  train_->start(at_.epoch, at_.batch);
  while (true) {
    if (at_.batch == batches_) progress.finish();
    if (at_.validation_due) {
      if (!validate()) return;
      if (at_.batch < batches_) save(at_.epoch, /*is_final=*/false);
    }
    if (at_.batch == batches_) break;
    if (should_stop()) return;
    if (at_.validation_due) continue;

    const auto batch = train_->next();
    if (!batch) throw core::DataError(fmt::format("the data ended after {} of {} batches", at_.batch, batches_));
    train_batch(in_precision(*batch, options_.precision));
    at_.validation_due = validation_follows();
    progress.set("loss", metrics_["train_loss"]);
    progress.advance();
  }
  end_epoch();
}

bool Fit::validation_follows() const {
  if (!validation_) return false;
  if (!options_.check_val_every_n_epoch) return at_.all_batches % validation_interval_ == 0;
  return (at_.epoch + 1) % *options_.check_val_every_n_epoch == 0 && at_.batch % validation_interval_ == 0;
}

bool Fit::validate() {
  std::optional<Means> means;
  {
    const KeepRandomState keep;
    means = evaluate(learner_, *validation_,
                     {.stage = Stage::validate,
                      .batches = validation_batches_,
                      .title = "validate",
                      .show_progress = options_.enable_progress_bar,
                      .precision = options_.precision,
                      .stop = [this] { return signals_.received() != 0 || out_of_time(); }});
    if (means) log_samples();
  }
  if (!means) return false;
  const Metrics values = means->values("val_");
  for (const auto& [name, value] : values) metrics_[name] = value;
  check_metrics(metrics_);
  log(values);
  core::log_info(fmt::format("epoch {}, step {}: {}", at_.epoch, at_.step, text(metrics_)));
  if (early_stopping_) early_stopping_->look_at(metrics_.at(early_stopping_->options().monitor));
  at_.validation_due = false;
  at_.validated_at = at_.all_batches;
  validated_since_save_ = changed_since_save_ = true;
  return true;
}

void Fit::end_epoch() {
  if (schedule_.interval() == Interval::epoch) {
    const auto monitor = schedule_.monitor();
    const bool validated = at_.validated_at > at_.all_batches - at_.batch;
    const bool is_new = monitor && (validated || !monitor->starts_with("val_"));
    schedule_.advance(is_new ? std::optional(monitored(metrics_, *monitor, "lr_scheduler.monitor")) : std::nullopt);
  }
  const int64_t finished = at_.epoch++;
  at_.batch = 0;
  changed_since_save_ = true;
  save(finished, /*is_final=*/false);
}

bool Fit::should_stop() {
  if (stop_) return true;
  const bool may_give_up = at_.epoch >= options_.min_epochs.value_or(0) && at_.step >= options_.min_steps.value_or(0);
  if (const int signal = signals_.received()) {
    stop(StopReason::interrupted, fmt::format("interrupted by {}", ::strsignal(signal)));
  } else if (options_.max_steps >= 0 && at_.step >= options_.max_steps) {
    // The last word of a run that ends within an epoch is a validation.
    const bool within = at_.batch > 0 && at_.batch < batches_;
    if (validation_ && within && at_.validated_at < at_.all_batches && !at_.validation_due) {
      at_.validation_due = true;
      return false;
    }
    stop(StopReason::max_steps, fmt::format("max_steps = {} was reached", options_.max_steps));
  } else if (options_.max_epochs.value_or(-1) >= 0 && at_.epoch >= *options_.max_epochs) {
    stop(StopReason::max_epochs, fmt::format("max_epochs = {} was reached", *options_.max_epochs));
  } else if (early_stopping_ && early_stopping_->reason() && may_give_up) {
    stop(StopReason::early_stopping, "early stopping: " + *early_stopping_->reason());
  } else if (out_of_time()) {
    stop(StopReason::max_time, fmt::format("max_time = {} was reached", *options_.max_time));
  }
  return stop_.has_value();
}

bool Fit::out_of_time() const {
  const bool may_give_up = at_.epoch >= options_.min_epochs.value_or(0) && at_.step >= options_.min_steps.value_or(0);
  return options_.max_time && may_give_up &&
         at_.seconds + core::seconds_now() - started_at_ >= seconds_of(*options_.max_time, "max_time");
}

void Fit::stop(StopReason reason, const std::string& message) {
  stop_ = reason;
  stop_message_ = message;
}

void Fit::log(const Metrics& metrics) {
  Logger::Scalars row = metrics;
  row["epoch"] = static_cast<double>(at_.epoch);
  for (const auto& logger : loggers_) logger->log_scalars(at_.step, row);
}

// The caller keeps the random state.
void Fit::log_samples() {
  if (loggers_.empty()) return;
  const at::NoGradGuard no_grad;
  const EvaluationMode evaluation(module_);
  const Autocast autocast(options_.precision == Precision::bf16);
  for (const auto& [tag, text] : learner_.samples()) {
    for (const auto& logger : loggers_) logger->log_text(at_.step, tag, text);
  }
}

FitResult Fit::result() const {
  FitResult result{.reason = *stop_,
                   .message = stop_message_,
                   .epoch = at_.epoch,
                   .step = at_.step,
                   .metrics = metrics_,
                   .best_score = best_.best_score()};
  if (!folder_) return result;
  result.folder = folder_->path();
  std::error_code error;
  if (options_.enable_checkpointing && std::filesystem::exists(path_of_last(), error)) {
    result.last_checkpoint = path_of_last();
  }
  if (best_.best()) result.best_checkpoint = folder_->checkpoints() / *best_.best();
  return result;
}

}  // namespace perceive::train
