// The ranges that torch.optim.lr_scheduler demands.
#include "perceive/train/schedule_options.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <functional>

#include "perceive/core/error.h"

namespace perceive::train {
namespace {

[[noreturn]] void refuse(const char* schedule, const char* key, const std::string& expected, const std::string& got) {
  throw core::ConfigError(fmt::format("{}.{}: expected {}, got {}", schedule, key, expected, got));
}

void expect_at_least(int64_t lowest, const char* schedule, const char* key, int64_t value) {
  if (value < lowest) refuse(schedule, key, fmt::format("{} or more", lowest), fmt::to_string(value));
}

void expect_between(double low, double high, const char* schedule, const char* key, double value) {
  if (!(value >= low && value <= high)) {
    refuse(schedule, key, fmt::format("a number from {} to {}", low, high), fmt::to_string(value));
  }
}

void expect_not_negative(const char* schedule, const char* key, double value) {
  if (!(value >= 0)) refuse(schedule, key, "0 or more", fmt::to_string(value));
}

void expect_rate(const char* schedule, const char* key, std::optional<double> value) {
  if (!value) refuse(schedule, key, "a number (it is required)", "none");
  expect_not_negative(schedule, key, *value);
}

void expect_rising(const char* schedule, const std::vector<int64_t>& milestones) {
  for (const int64_t milestone : milestones) expect_at_least(1, schedule, "milestones", milestone);
  if (std::adjacent_find(milestones.begin(), milestones.end(), std::greater_equal()) != milestones.end()) {
    refuse(schedule, "milestones", "rising numbers", fmt::format("[{}]", fmt::join(milestones, ", ")));
  }
}

void check_one(const StepLROptions& o) {
  expect_at_least(1, o.kName, "step_size", o.step_size);
  expect_not_negative(o.kName, "gamma", o.gamma);
}
void check_one(const MultiStepLROptions& o) {
  if (o.milestones.empty()) refuse(o.kName, "milestones", "at least one (it is required)", "none");
  for (const int64_t milestone : o.milestones) expect_at_least(1, o.kName, "milestones", milestone);
  expect_not_negative(o.kName, "gamma", o.gamma);
}
void check_one(const ConstantLROptions& o) {
  expect_between(0, 1, o.kName, "factor", o.factor);
  expect_at_least(1, o.kName, "total_iters", o.total_iters);
}
void check_one(const LinearLROptions& o) {
  if (!(o.start_factor > 0 && o.start_factor <= 1)) {
    refuse(o.kName, "start_factor", "a number above 0 and up to 1", fmt::to_string(o.start_factor));
  }
  expect_between(0, 1, o.kName, "end_factor", o.end_factor);
  expect_at_least(1, o.kName, "total_iters", o.total_iters);
}
void check_one(const ExponentialLROptions& o) {
  expect_rate(o.kName, "gamma", o.gamma);
}
void check_one(const PolynomialLROptions& o) {
  expect_at_least(1, o.kName, "total_iters", o.total_iters);
  expect_not_negative(o.kName, "power", o.power);
}
void check_one(const CosineAnnealingLROptions& o) {
  expect_at_least(1, o.kName, "T_max", o.T_max);
  expect_not_negative(o.kName, "eta_min", o.eta_min);
}
void check_one(const CosineAnnealingWarmRestartsOptions& o) {
  expect_at_least(1, o.kName, "T_0", o.T_0);
  expect_at_least(1, o.kName, "T_mult", o.T_mult);
  expect_not_negative(o.kName, "eta_min", o.eta_min);
}
void check_one(const OneCycleLROptions& o) {
  expect_rate(o.kName, "max_lr", o.max_lr);
  if (o.total_steps && *o.total_steps < 1) {
    refuse(o.kName, "total_steps", "1 or more, or null to have the length of the run", fmt::to_string(*o.total_steps));
  }
  if (o.epochs) expect_at_least(1, o.kName, "epochs", *o.epochs);
  if (o.steps_per_epoch) expect_at_least(1, o.kName, "steps_per_epoch", *o.steps_per_epoch);
  if (o.epochs && o.steps_per_epoch && static_cast<double>(*o.epochs) * *o.steps_per_epoch > 1e18) {
    refuse(o.kName, "epochs", "a cycle of at most 1e18 steps", fmt::to_string(*o.epochs));
  }
  expect_between(0, 1, o.kName, "pct_start", o.pct_start);
  expect_between(0, 1, o.kName, "base_momentum", o.base_momentum);
  expect_between(0, 1, o.kName, "max_momentum", o.max_momentum);
  if (!(o.div_factor > 0)) refuse(o.kName, "div_factor", "a number above 0", fmt::to_string(o.div_factor));
  if (!(o.final_div_factor > 0)) {
    refuse(o.kName, "final_div_factor", "a number above 0", fmt::to_string(o.final_div_factor));
  }
}
void check_one(const CyclicLROptions& o) {
  expect_rate(o.kName, "base_lr", o.base_lr);
  expect_rate(o.kName, "max_lr", o.max_lr);
  expect_at_least(1, o.kName, "step_size_up", o.step_size_up);
  if (o.step_size_down) expect_at_least(1, o.kName, "step_size_down", *o.step_size_down);
  expect_not_negative(o.kName, "gamma", o.gamma);
  expect_between(0, 1, o.kName, "base_momentum", o.base_momentum);
  expect_between(0, 1, o.kName, "max_momentum", o.max_momentum);
}
void check_one(const CosineWithWarmupLROptions& o) {
  if (o.training_steps) expect_at_least(1, o.kName, "training_steps", *o.training_steps);
  expect_at_least(0, o.kName, "warmup_steps", o.warmup_steps);
  expect_not_negative(o.kName, "num_cycles", o.num_cycles);
  expect_between(0, 1, o.kName, "min_fraction", o.min_fraction);
}
void check_one(const ReduceLROnPlateauOptions& o) {
  if (o.monitor.empty()) refuse(o.kName, "monitor", "the name of a metric, such as val_loss", "none");
  if (!(o.factor >= 0 && o.factor < 1)) {
    refuse(o.kName, "factor", "a number from 0 to below 1", fmt::to_string(o.factor));
  }
  expect_at_least(0, o.kName, "patience", o.patience);
  expect_at_least(0, o.kName, "cooldown", o.cooldown);
  expect_not_negative(o.kName, "threshold", o.threshold);
  expect_not_negative(o.kName, "min_lr", o.min_lr);
  expect_not_negative(o.kName, "eps", o.eps);
}
void check_one(const SequentialLROptions& o) {
  if (o.schedulers.empty()) refuse(o.kName, "schedulers", "at least one", "none");
  if (o.milestones.size() + 1 != o.schedulers.size()) {
    refuse(o.kName, "milestones", fmt::format("{}, one less than schedulers", o.schedulers.size() - 1),
           fmt::to_string(o.milestones.size()));
  }
  expect_rising(o.kName, o.milestones);
  for (const auto& schedule : o.schedulers) {
    std::visit(
        [&](const auto& part) {
          check_one(part);
          if (part.interval) refuse(part.kName, "interval", "none within SequentialLR, which has its own", "one");
        },
        schedule);
    const auto* cycle = std::get_if<OneCycleLROptions>(&schedule);
    if (cycle && !cycle->total_steps && !(cycle->epochs && cycle->steps_per_epoch)) {
      refuse(cycle->kName, "total_steps", "a number, as it is a part of SequentialLR", "none");
    }
    const auto* cosine = std::get_if<CosineWithWarmupLROptions>(&schedule);
    if (cosine && !cosine->training_steps) {
      refuse(cosine->kName, "training_steps", "a number, as it is a part of SequentialLR", "none");
    }
  }
}

constexpr const char* kNoLength =
    "a positive number, or trainer.max_steps or trainer.max_epochs to be set, as the run then has a length";

}  // namespace

void check(const ScheduleOptions& options) {
  std::visit([](const auto& o) { check_one(o); }, options);
}

std::string name(const ScheduleOptions& options) {
  return std::visit([](const auto& o) { return o.kName; }, options);
}

Interval interval(const ScheduleOptions& options) {
  return std::visit(
      []<class O>(const O& o) {
        if constexpr (requires { o.interval; }) {
          constexpr bool by_step = std::is_same_v<O, OneCycleLROptions> || std::is_same_v<O, CosineWithWarmupLROptions>;
          return o.interval.value_or(by_step ? Interval::step : Interval::epoch);
        } else {
          return Interval::epoch;
        }
      },
      options);
}

ScheduleOptions with_rate(ScheduleOptions options, double lr) {
  if (auto* o = std::get_if<OneCycleLROptions>(&options); o && !o->max_lr) o->max_lr = lr;
  return options;
}

ScheduleOptions with_length(ScheduleOptions options, std::optional<int64_t> planned) {
  if (auto* o = std::get_if<OneCycleLROptions>(&options); o && !o->total_steps) {
    if (o->epochs && o->steps_per_epoch) planned = *o->epochs * *o->steps_per_epoch;
    if (!planned) refuse(o->kName, "total_steps", kNoLength, "none");
    o->total_steps = planned;
  }
  if (auto* o = std::get_if<CosineWithWarmupLROptions>(&options); o && !o->training_steps) {
    if (!planned) refuse(o->kName, "training_steps", kNoLength, "none");
    o->training_steps = planned;
  }
  return options;
}

}  // namespace perceive::train
