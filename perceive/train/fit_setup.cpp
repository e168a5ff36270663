// What is settled before the first batch.
#include <fmt/format.h>

#include <limits>

#include "perceive/core/error.h"
#include "perceive/core/log.h"
#include "perceive/core/progress.h"
#include "perceive/io/files.h"
#include "perceive/io/names.h"
#include "perceive/train/csv_logger.h"
#include "perceive/train/evaluation.h"
#include "perceive/train/fit.h"
#include "perceive/train/tensorboard_logger.h"
#include "perceive/train/text_logger.h"

namespace perceive::train {
namespace {

// A number with commas: 801,954.
std::string grouped(int64_t number) {
  std::string digits = fmt::to_string(number);
  for (int64_t i = static_cast<int64_t>(digits.size()) - 3; i > 0; i -= 3) digits.insert(i, ",");
  return digits;
}

std::unique_ptr<data::Loader> training_loader(const data::DataModule& data) {
  auto loader = data.train();
  if (!loader) throw core::ConfigError("the data has no part to train with");
  const int64_t examples = loader->dataset().size(), batch = loader->options().batch_size;
  if (examples < batch) {
    core::log_warning(
        fmt::format("data.batch_size={}, but there are only {} examples to train with: all of them are one "
                    "smaller batch",
                    batch, examples));
  }
  return loader;
}

int64_t batches_of_an_epoch(const data::Loader& loader, const TrainerOptions& o) {
  const int64_t batches = amount_of_batches(o.limit_train_batches, loader.batches(), "limit_train_batches");
  if (batches < 1) throw core::ConfigError("trainer.limit_train_batches: expected at least one batch, got none");
  return batches;
}

TrainerOptions complete(TrainerOptions o) {
  if (o.fast_dev_run) {
    o.limit_train_batches = o.limit_val_batches = "1";
    o.val_check_interval = "1.0";
    o.check_val_every_n_epoch = 1;
    o.max_epochs = 1;
    o.max_steps = 1;
    o.num_sanity_val_steps = 0;
    o.logger = o.enable_checkpointing = false;
    o.early_stopping.reset();
  }
  if (!o.max_epochs && o.max_steps < 0 && !o.max_time) {
    throw core::ConfigError(
        "nothing says when training ends: set trainer.max_epochs, trainer.max_steps or trainer.max_time "
        "(max_epochs = -1 trains until it is interrupted)");
  }
  return o;
}

}  // namespace

Fit::Fit(Learner& learner, const data::DataModule& data, const TrainerOptions& options, const RunInfo& info,
         const OptimizerOptions& optimizer, const std::optional<ScheduleOptions>& schedule)
    : learner_(learner),
      module_(in_precision(learner.module(), options.precision)),
      options_(complete(options)),
      info_(info),
      data_fingerprint_(data.fingerprint()),
      train_(training_loader(data)),
      validation_(data.validation()),
      batches_(batches_of_an_epoch(*train_, options_)),
      optimizer_(optimizer, module_),
      schedule_(complete_schedule(schedule)),
      best_(options_.checkpoint),
      started_at_(core::seconds_now()) {
  if (validation_) {
    validation_batches_ = amount_of_batches(options_.limit_val_batches, validation_->batches(), "limit_val_batches");
    if (validation_batches_ == 0) validation_.reset();
  }
  const std::string& interval = options_.val_check_interval;
  constexpr int64_t kAny = int64_t{1} << 53;
  validation_interval_ =
      amount_of_batches(interval, is_part_of_epoch(interval) ? batches_ : kAny, "val_check_interval");
  if (validation_ &&
      (validation_interval_ < 1 || (options_.check_val_every_n_epoch && validation_interval_ > batches_))) {
    throw core::ConfigError(
        fmt::format("trainer.val_check_interval: expected 1 to {} (the batches of an epoch), got {}; with "
                    "trainer.check_val_every_n_epoch = null it may span epochs",
                    batches_, interval));
  }
  if (optimizer_.evaluates() && options_.accumulate_grad_batches > 1) {
    throw core::ConfigError(fmt::format(
        "trainer.accumulate_grad_batches: expected 1 with {}, which computes each batch several times; got {}",
        optimizer_.name(), options_.accumulate_grad_batches));
  }
  if (options_.early_stopping) early_stopping_.emplace(*options_.early_stopping);
  check_monitors();
}

void Fit::check_monitors() const {
  const auto needs = [&](const std::string& monitor, const char* option) {
    if (validation_ || !monitor.starts_with("val_")) return;
    throw core::ConfigError(fmt::format("{}: '{}' needs validation, and there is none", option, monitor));
  };
  if (early_stopping_) needs(early_stopping_->options().monitor, "trainer.early_stopping.monitor");
  if (const auto monitor = schedule_.monitor()) needs(*monitor, "lr_scheduler.monitor");
}

Schedule Fit::complete_schedule(std::optional<ScheduleOptions> options) const {
  if (!options) return Schedule(std::nullopt, optimizer_.lr());
  options = with_rate(*options, optimizer_.lr());
  check(*options);
  const int64_t steps_per_epoch = (batches_ + options_.accumulate_grad_batches - 1) / options_.accumulate_grad_batches;
  const bool by_step = interval(*options) == Interval::step;
  std::optional<int64_t> planned;
  const int64_t length = by_step ? steps_per_epoch : 1;
  const int64_t epochs = options_.max_epochs.value_or(-1);
  if (epochs >= 0 && epochs <= std::numeric_limits<int64_t>::max() / length) planned = epochs * length;
  if (options_.max_steps >= 0) {
    const int64_t limit = by_step ? options_.max_steps : (options_.max_steps + steps_per_epoch - 1) / steps_per_epoch;
    planned = std::min(planned.value_or(limit), limit);
  }
  const ScheduleOptions complete = with_length(*options, planned);
  const auto* cycle = std::get_if<OneCycleLROptions>(&complete);
  if (cycle && planned && *planned > *cycle->total_steps) {
    throw core::ConfigError(
        fmt::format("OneCycleLR.total_steps: the run is {} long, the cycle only {}; leave it out to "
                    "have the length of the run",
                    *planned, *cycle->total_steps));
  }
  Schedule schedule(complete, optimizer_.lr());
  if (schedule.cycles_momentum() && !optimizer_.momentum()) {
    throw core::ConfigError(fmt::format("{}.cycle_momentum: {} has neither momentum nor betas; set it to false",
                                        name(complete), optimizer_.name()));
  }
  return schedule;
}

void Fit::open_folder(const std::filesystem::path& runs) {
  if (!options_.logger && !options_.enable_checkpointing) return;
  if (!folder_) folder_ = RunFolder::create(runs);
  io::check_writable(folder_->path());
  if (options_.enable_checkpointing) io::remove_unfinished(folder_->checkpoints());
  if (!info_.config_yaml.empty()) folder_->write_config(info_.config_yaml, at_.step);
}

void Fit::open_loggers() {
  if (!options_.logger) return;
  const auto warn = [](const std::string& message) { core::log_warning(message); };
  loggers_.push_back(std::make_unique<CsvLogger>(folder_->path() / "metrics.csv", warn, at_.step));
  loggers_.push_back(std::make_unique<TensorBoardLogger>(folder_->path(), warn, at_.step));
  loggers_.push_back(std::make_unique<TextLogger>(folder_->path(), warn, at_.step));
}

void Fit::say_what_will_run() const {
  if (options_.enable_model_summary) {
    int64_t all = 0, trained = 0;
    for (const auto& parameter : io::distinct_parameters(module_)) all += parameter.numel();
    for (const auto& parameter : optimizer_.parameters()) trained += parameter.tensor.numel();
    core::log_info(fmt::format("model: {} parameters, {} of them trained", grouped(all), grouped(trained)));
  }
  if (!validation_ && options_.enable_checkpointing && best_.options().monitor.value_or("").starts_with("val_")) {
    core::log_info("there is no validation to say which checkpoint is best: only the last one is kept");
  }
  if (folder_) core::log_info(fmt::format("run folder: {}", folder_->path().string()));
}

}  // namespace perceive::train
