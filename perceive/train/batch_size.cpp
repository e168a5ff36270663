// Doubling, and halving the gap, within a limit of memory.
#include "perceive/train/batch_size.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "perceive/core/error.h"
#include "perceive/core/memory.h"
#include "perceive/core/progress.h"
#include "perceive/train/rehearsal.h"
#include "perceive/train/signals.h"

namespace perceive::train {
namespace {

constexpr double kShareOfMemory = 0.8;

void expect_at_least_one(const char* option, int64_t value) {
  if (value < 1) {
    throw core::ConfigError(fmt::format("scale_batch_size_kwargs.{}: expected 1 or more, got {}", option, value));
  }
}

// On the line through the two largest trials, or through `base` where there is one.
double expected_memory(std::vector<BatchTrial> trials, double base, int64_t batch_size) {
  std::sort(trials.begin(), trials.end(), [](auto& a, auto& b) { return a.batch_size > b.batch_size; });
  const BatchTrial& a = trials[0];
  const BatchTrial b = trials.size() > 1 ? trials[1] : BatchTrial{.peak_memory = base};
  const double slope = (a.peak_memory - b.peak_memory) / static_cast<double>(a.batch_size - b.batch_size);
  return a.peak_memory + std::max(slope, 0.0) * static_cast<double>(batch_size - a.batch_size);
}

}  // namespace

void check(const BatchSizeOptions& o) {
  expect_at_least_one("steps_per_trial", o.steps_per_trial);
  expect_at_least_one("init_val", o.init_val);
  expect_at_least_one("max_trials", o.max_trials);
}

BatchSizeResult search_batch_size(BatchSearch search, const BatchSizeOptions& o, int64_t examples, double base,
                                  double limit, const std::function<BatchTrial(int64_t)>& measure) {
  check(o);
  BatchSizeResult result;
  std::optional<int64_t> too_large;  // the smallest known to be
  const auto fits = [&](int64_t size) {
    double memory = result.trials.empty() ? 0 : expected_memory(result.trials, base, size);
    if (memory <= limit) {
      const BatchTrial trial = measure(size);
      result.interrupted = trial.batch_size == 0;
      if (result.interrupted) return false;
      result.trials.push_back(trial);
      memory = trial.peak_memory;
      if (memory <= limit) return true;
    }
    too_large = size;
    result.reason = fmt::format("{} examples would take {} of memory, and {} are the limit", size,
                                core::readable_bytes(memory), core::readable_bytes(limit));
    return false;
  };
  const auto may_go_on = [&] {
    return !result.interrupted && static_cast<int64_t>(result.trials.size()) < o.max_trials;
  };

  for (int64_t size = std::min(o.init_val, examples); may_go_on() && fits(size);) {
    result.largest = size;
    if (size == examples) {
      result.reason = fmt::format("there are {} examples to train with", examples);
      return result;
    }
    size = size > examples / 2 ? examples : 2 * size;
  }
  while (search == BatchSearch::binsearch && too_large && *too_large - result.largest > 1 && may_go_on()) {
    const int64_t middle = result.largest + (*too_large - result.largest) / 2;
    if (fits(middle)) result.largest = middle;
  }
  if (result.reason.empty() && !result.interrupted)
    result.reason = fmt::format("{} sizes were tried (max_trials)", o.max_trials);
  return result;
}

BatchSizeResult scale_batch_size(Learner& learner, const data::Loader& loader, const OptimizerOptions& optimizer,
                                 const TrainerOptions& trainer, BatchSearch search, const BatchSizeOptions& o) {
  const double base = core::resident_memory(), available = core::available_memory();
  if (base == 0 || available == 0) {
    throw core::ConfigError("trainer.auto_scale_batch_size: this system does not tell how much memory there is");
  }
  const double limit = base + kShareOfMemory * available;
  const StopSignals signals;
  core::Progress progress("batch size", 0, {.enabled = trainer.enable_progress_bar});
  const auto measure = [&](int64_t size) {
    progress.set("batch_size", static_cast<double>(size));
    core::restart_peak_memory();
    auto options = loader.options();
    options.batch_size = size;
    options.drop_last = true;
    const auto sized = loader.with(options);
    Rehearsal rehearsal(learner, *sized, optimizer, trainer);
    BatchTrial trial;
    for (int64_t step = 0; step < o.steps_per_trial; ++step) {
      if (signals.received() != 0) return BatchTrial{};
      const double start = core::seconds_now();
      rehearsal.step(learning_rate(optimizer), 1);
      const double seconds = std::max(core::seconds_now() - start, 1e-9);
      trial.examples_per_second = std::max(trial.examples_per_second, static_cast<double>(size) / seconds);
      progress.advance();
    }
    trial.batch_size = size;
    trial.peak_memory = core::peak_resident_memory();
    return trial;
  };
  return search_batch_size(search, o, loader.dataset().size(), base, limit, measure);
}

}  // namespace perceive::train
