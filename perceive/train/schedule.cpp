// Torch's schedules in closed form: each equals the chain of factors that torch applies step by step.
#include "perceive/train/schedule.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numbers>

#include "perceive/core/error.h"

namespace perceive::train {
namespace {

using std::numbers::pi;

double cosine(double from, double to, double part) {
  return to + (from - to) / 2 * (1 + std::cos(pi * part));
}

Rates at(const StepLROptions& o, double lr, int64_t t) {
  return {lr * std::pow(o.gamma, static_cast<double>(t / o.step_size))};
}

Rates at(const MultiStepLROptions& o, double lr, int64_t t) {
  const auto passed = std::count_if(o.milestones.begin(), o.milestones.end(), [&](int64_t m) { return m <= t; });
  return {lr * std::pow(o.gamma, static_cast<double>(passed))};
}

Rates at(const ConstantLROptions& o, double lr, int64_t t) {
  return {t < o.total_iters ? lr * o.factor : lr};
}

Rates at(const LinearLROptions& o, double lr, int64_t t) {
  const double part = static_cast<double>(std::min(t, o.total_iters)) / o.total_iters;
  return {lr * (o.start_factor + (o.end_factor - o.start_factor) * part)};
}

Rates at(const ExponentialLROptions& o, double lr, int64_t t) {
  return {lr * std::pow(*o.gamma, static_cast<double>(t))};
}

Rates at(const PolynomialLROptions& o, double lr, int64_t t) {
  return {lr * std::pow(1 - static_cast<double>(std::min(t, o.total_iters)) / o.total_iters, o.power)};
}

Rates at(const CosineAnnealingLROptions& o, double lr, int64_t t) {
  return {cosine(lr, o.eta_min, static_cast<double>(t) / o.T_max)};
}

Rates at(const CosineAnnealingWarmRestartsOptions& o, double lr, int64_t t) {
  double length = o.T_0, since_restart = t;
  if (o.T_mult == 1) {
    since_restart = t % o.T_0;
  } else {
    for (; since_restart >= length; length *= o.T_mult) since_restart -= length;
  }
  return {cosine(lr, o.eta_min, since_restart / length)};
}

Rates at(const OneCycleLROptions& o, double /*lr*/, int64_t t) {
  const int64_t total = o.total_steps ? *o.total_steps : *o.epochs * *o.steps_per_epoch;
  if (t > total) {
    throw core::ConfigError(
        fmt::format("OneCycleLR.total_steps: the cycle is {0} steps long, and step {1} was to follow; set it to the "
                    "length of the run",
                    total, t));
  }
  const double low = *o.max_lr / o.div_factor, lowest = low / o.final_div_factor;
  struct Phase {
    double end;  // the step at which it ends
    double from_lr, to_lr, from_momentum, to_momentum;
  };
  const double rise = o.pct_start * static_cast<double>(total) - 1, end = static_cast<double>(total) - 1;
  std::array<Phase, 3> phases{{{rise, low, *o.max_lr, o.max_momentum, o.base_momentum},
                               {end, *o.max_lr, lowest, o.base_momentum, o.max_momentum},
                               {end, low, lowest, o.max_momentum, o.max_momentum}}};
  if (o.three_phase) phases[1] = {2 * o.pct_start * total - 2, *o.max_lr, low, o.base_momentum, o.max_momentum};
  const size_t last = o.three_phase ? 2 : 1;

  size_t i = 0;
  double start = 0;
  while (i < last && t > phases[i].end) start = phases[i++].end;
  const Phase& phase = phases[i];
  const double part = phase.end == start ? 1.0 : (t - start) / (phase.end - start);
  const auto between = [&](double from, double to) {
    return o.anneal_strategy == Anneal::cos ? cosine(from, to, part) : from + (to - from) * part;
  };
  Rates rates{between(phase.from_lr, phase.to_lr)};
  if (o.cycle_momentum) rates.momentum = between(phase.from_momentum, phase.to_momentum);
  return rates;
}

Rates at(const CyclicLROptions& o, double /*lr*/, int64_t t) {
  const double up = o.step_size_up, total = up + o.step_size_down.value_or(o.step_size_up);
  const double cycle = std::floor(1 + t / total);
  const double x = 1 + t / total - cycle, peak = up / total;
  double height = x <= peak ? x / peak : (x - 1) / (peak - 1);
  if (o.mode == CyclicMode::triangular2) height /= std::pow(2.0, cycle - 1);
  if (o.mode == CyclicMode::exp_range) height *= std::pow(o.gamma, static_cast<double>(t));
  Rates rates{*o.base_lr + (*o.max_lr - *o.base_lr) * height};
  if (o.cycle_momentum) rates.momentum = o.max_momentum - (o.max_momentum - o.base_momentum) * height;
  return rates;
}

// Source: CosineWithWarmupLR of perceiver-io 0.11.1.
Rates at(const CosineWithWarmupLROptions& o, double lr, int64_t t) {
  if (t < o.warmup_steps) return {lr * t / o.warmup_steps};
  const double rest = std::max<int64_t>(1, *o.training_steps - o.warmup_steps);
  const double wave = 1 + std::cos(2 * pi * o.num_cycles * static_cast<double>(t - o.warmup_steps) / rest);
  return {lr * (o.min_fraction + std::max(0.0, 0.5 * (1 - o.min_fraction) * wave))};
}

Rates at(const SequentialLROptions& o, double lr, int64_t t) {
  const auto next = std::upper_bound(o.milestones.begin(), o.milestones.end(), t);
  const int64_t start = next == o.milestones.begin() ? 0 : next[-1];
  return rates_at(o.schedulers[next - o.milestones.begin()], lr, t - start);
}

bool cycles(const PlainSchedule& schedule) {
  return std::visit(
      [](const auto& o) {
        if constexpr (requires { o.cycle_momentum; }) return o.cycle_momentum;
        return false;
      },
      schedule);
}

}  // namespace

Rates rates_at(const PlainSchedule& schedule, double lr, int64_t position) {
  return std::visit([&](const auto& o) { return at(o, lr, position); }, schedule);
}

Rates rates_at(const SequentialLROptions& schedule, double lr, int64_t position) {
  return at(schedule, lr, position);
}

Schedule::Schedule(std::optional<ScheduleOptions> options, double lr)
    : options_(std::move(options)), lr_(lr), plateau_{lr} {
  if (options_) check(*options_);
}

Interval Schedule::interval() const {
  return options_ ? train::interval(*options_) : Interval::epoch;
}

Rates Schedule::rates() const {
  if (!options_) return {lr_};
  return std::visit(
      [&]<class O>(const O& o) -> Rates {
        if constexpr (std::is_same_v<O, ReduceLROnPlateauOptions>) {
          return {plateau_.lr};
        } else {
          return at(o, lr_, position_);
        }
      },
      *options_);
}

bool Schedule::cycles_momentum() const {
  if (!options_) return false;
  return std::visit(
      []<class O>(const O& o) {
        if constexpr (std::is_same_v<O, SequentialLROptions>) {
          return std::any_of(o.schedulers.begin(), o.schedulers.end(), cycles);
        } else if constexpr (std::is_same_v<O, ReduceLROnPlateauOptions>) {
          return false;
        } else {
          return cycles(o);
        }
      },
      *options_);
}

std::optional<std::string> Schedule::monitor() const {
  const auto* o = options_ ? std::get_if<ReduceLROnPlateauOptions>(&*options_) : nullptr;
  return o ? std::optional(o->monitor) : std::nullopt;
}

void Schedule::advance(std::optional<double> metric) {
  ++position_;
  const auto* o = options_ ? std::get_if<ReduceLROnPlateauOptions>(&*options_) : nullptr;
  if (o && metric) look_at(*metric, *o);
}

void Schedule::look_at(double metric, const ReduceLROnPlateauOptions& o) {
  const double sign = o.mode == Goal::min ? -1 : 1;
  const auto is_better = [&](double best) {
    if (o.threshold_mode == ThresholdMode::abs) return sign * metric > sign * best + o.threshold;
    return sign * metric > sign * (best * (1 + sign * o.threshold));
  };
  if (!std::isfinite(metric) || (plateau_.best && !is_better(*plateau_.best))) {
    ++plateau_.bad_epochs;
  } else {
    plateau_.best = metric;
    plateau_.bad_epochs = 0;
  }
  if (plateau_.cooldown > 0) {
    --plateau_.cooldown;
    plateau_.bad_epochs = 0;
  }
  if (plateau_.bad_epochs > o.patience) {
    const double lower = std::max(plateau_.lr * o.factor, o.min_lr);
    if (plateau_.lr - lower > o.eps) plateau_.lr = lower;
    plateau_.cooldown = o.cooldown;
    plateau_.bad_epochs = 0;
  }
}

nlohmann::json Schedule::state() const {
  nlohmann::json state{{"name", options_ ? train::name(*options_) : "none"}, {"position", position_}};
  if (monitor()) {
    state["lr"] = plateau_.lr;
    state["bad_epochs"] = plateau_.bad_epochs;
    state["cooldown"] = plateau_.cooldown;
    if (plateau_.best) state["best"] = *plateau_.best;
  }
  return state;
}

void Schedule::restore(const nlohmann::json& state) {
  const std::string mine = options_ ? train::name(*options_) : "none";
  if (state.at("name") != mine) {
    throw core::ConfigError(
        fmt::format("lr_scheduler: the checkpoint was made with {}, this run has {}; resume with the "
                    "same, or begin a new run from its weights",
                    state.at("name").get<std::string>(), mine));
  }
  position_ = state.at("position");
  if (!monitor()) return;
  plateau_ = {state.at("lr"), std::nullopt, state.at("bad_epochs"), state.at("cooldown")};
  if (state.contains("best")) plateau_.best = state["best"].get<double>();
}

}  // namespace perceive::train
