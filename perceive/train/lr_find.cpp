// The range test, and its suggestion.
#include "perceive/train/lr_find.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "perceive/core/error.h"
#include "perceive/core/progress.h"
#include "perceive/train/rehearsal.h"
#include "perceive/train/signals.h"

namespace perceive::train {
namespace {

constexpr size_t kFirst = 10, kAfterLast = 1;  // before: rates too small to tell; the last is where it broke off
constexpr int64_t kFewest = kFirst + 2 + kAfterLast;

void expect(bool ok, const char* option, const char* expected, double got) {
  if (!ok) throw core::ConfigError(fmt::format("lr_find_kwargs.{}: expected {}, got {}", option, expected, got));
}

}  // namespace

void check(const LrFindOptions& o) {
  expect(o.min_lr > 0 && std::isfinite(o.min_lr), "min_lr", "a number above 0", o.min_lr);
  expect(o.max_lr > o.min_lr && std::isfinite(o.max_lr), "max_lr", "a number above min_lr", o.max_lr);
  expect(o.num_training >= kFewest, "num_training", "13 or more, as the first ten and the last do not count",
         static_cast<double>(o.num_training));
  if (o.early_stop_threshold) {
    expect(*o.early_stop_threshold > 1, "early_stop_threshold", "a number above 1, or null", *o.early_stop_threshold);
  }
}

double rate_at(const LrFindOptions& o, int64_t step) {
  if (step == 0) return o.min_lr;
  const double part = static_cast<double>(step + 1) / static_cast<double>(o.num_training);
  return o.mode == RateSpacing::exponential ? o.min_lr * std::pow(o.max_lr / o.min_lr, part)
                                            : o.min_lr + (o.max_lr - o.min_lr) * part;
}

std::optional<size_t> steepest_descent(const std::vector<double>& losses) {
  if (static_cast<int64_t>(losses.size()) < kFewest) return std::nullopt;
  const size_t end = losses.size() - kAfterLast;
  const auto slope = [&](size_t i) {
    const size_t before = std::max(i, kFirst + 1) - 1, after = std::min(i + 1, end - 1);
    return (losses[after] - losses[before]) / static_cast<double>(after - before);
  };
  size_t steepest = kFirst;
  for (size_t i = kFirst; i < end; ++i) {
    if (slope(i) < slope(steepest)) steepest = i;
  }
  return steepest;
}

LrFindResult find_lr(Learner& learner, data::Loader& loader, const OptimizerOptions& optimizer,
                     const TrainerOptions& trainer, const LrFindOptions& o) {
  check(o);
  if (std::holds_alternative<RpropOptions>(optimizer)) {
    throw core::ConfigError("optimizer: Rprop finds the sizes of its steps itself; there is no rate to search for");
  }
  constexpr double kMemory = 0.98;  // of the running mean
  const StopSignals signals;
  Rehearsal rehearsal(learner, loader, optimizer, trainer);
  core::Progress progress("learning rate", o.num_training, {.enabled = trainer.enable_progress_bar});
  LrFindResult result;
  double mean = 0, best = 0;
  for (int64_t step = 0; step < o.num_training; ++step) {
    if (signals.received() != 0) {
      result.interrupted = true;
      return result;
    }
    const double lr = rate_at(o, step), loss = rehearsal.step(lr, trainer.accumulate_grad_batches);
    if (!std::isfinite(loss)) break;
    mean = kMemory * mean + (1 - kMemory) * loss;
    const double smoothed = mean / (1 - std::pow(kMemory, static_cast<double>(step + 1)));
    result.lr.push_back(lr);
    result.loss.push_back(loss);
    result.smoothed_loss.push_back(smoothed);
    progress.set("lr", lr);
    progress.set("loss", smoothed);
    progress.advance();
    if (step == 0 || smoothed < best) best = smoothed;
    if (o.early_stop_threshold && smoothed > *o.early_stop_threshold * best) break;
  }
  result.suggestion = steepest_descent(result.smoothed_loss);
  return result;
}

}  // namespace perceive::train
