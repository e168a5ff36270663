// The learning-rate schedules of torch.optim.lr_scheduler, with their Python names, arguments and defaults.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace perceive::train {

// What a schedule counts.
enum class Interval { step, epoch };
constexpr auto enum_names(Interval) {
  return std::array{std::pair{Interval::step, "step"}, std::pair{Interval::epoch, "epoch"}};
}

// Source: torch.optim.lr_scheduler of PyTorch 2.15. An `interval` of null is epoch, but step for OneCycleLR and
// CosineWithWarmupLR. What torch calls an epoch or a step in an argument is one interval.

struct StepLROptions {
  static constexpr const char* kName = "StepLR";
  int64_t step_size = 0;  // required
  double gamma = 0.1;
  std::optional<Interval> interval;
};
struct MultiStepLROptions {
  static constexpr const char* kName = "MultiStepLR";
  std::vector<int64_t> milestones;  // required
  double gamma = 0.1;
  std::optional<Interval> interval;
};
struct ConstantLROptions {
  static constexpr const char* kName = "ConstantLR";
  double factor = 1.0 / 3;
  int64_t total_iters = 5;
  std::optional<Interval> interval;
};
struct LinearLROptions {
  static constexpr const char* kName = "LinearLR";
  double start_factor = 1.0 / 3;
  double end_factor = 1.0;
  int64_t total_iters = 5;
  std::optional<Interval> interval;
};
struct ExponentialLROptions {
  static constexpr const char* kName = "ExponentialLR";
  std::optional<double> gamma;  // required
  std::optional<Interval> interval;
};
struct PolynomialLROptions {
  static constexpr const char* kName = "PolynomialLR";
  int64_t total_iters = 5;
  double power = 1.0;
  std::optional<Interval> interval;
};
struct CosineAnnealingLROptions {
  static constexpr const char* kName = "CosineAnnealingLR";
  int64_t T_max = 0;  // required
  double eta_min = 0.0;
  std::optional<Interval> interval;
};
struct CosineAnnealingWarmRestartsOptions {
  static constexpr const char* kName = "CosineAnnealingWarmRestarts";
  int64_t T_0 = 0;  // required
  int64_t T_mult = 1;
  double eta_min = 0.0;
  std::optional<Interval> interval;
};

enum class Anneal { cos, linear };
constexpr auto enum_names(Anneal) {
  return std::array{std::pair{Anneal::cos, "cos"}, std::pair{Anneal::linear, "linear"}};
}
struct OneCycleLROptions {
  static constexpr const char* kName = "OneCycleLR";
  std::optional<double> max_lr;
  std::optional<int64_t> total_steps;
  std::optional<int64_t> epochs;
  std::optional<int64_t> steps_per_epoch;
  double pct_start = 0.3;
  Anneal anneal_strategy = Anneal::cos;
  bool cycle_momentum = true;
  double base_momentum = 0.85;
  double max_momentum = 0.95;
  double div_factor = 25.0;
  double final_div_factor = 1e4;
  bool three_phase = false;
  std::optional<Interval> interval;
};

enum class CyclicMode { triangular, triangular2, exp_range };
constexpr auto enum_names(CyclicMode) {
  return std::array{std::pair{CyclicMode::triangular, "triangular"}, std::pair{CyclicMode::triangular2, "triangular2"},
                    std::pair{CyclicMode::exp_range, "exp_range"}};
}
struct CyclicLROptions {
  static constexpr const char* kName = "CyclicLR";
  std::optional<double> base_lr;  // required
  std::optional<double> max_lr;   // required
  int64_t step_size_up = 2000;
  std::optional<int64_t> step_size_down;
  CyclicMode mode = CyclicMode::triangular;
  double gamma = 1.0;
  bool cycle_momentum = true;
  double base_momentum = 0.8;
  double max_momentum = 0.9;
  std::optional<Interval> interval;
};

// Linear from 0 to the optimizer's rate in warmup_steps, then a cosine to min_fraction of it.
struct CosineWithWarmupLROptions {
  static constexpr const char* kName = "CosineWithWarmupLR";
  std::optional<int64_t> training_steps;
  int64_t warmup_steps = 0;
  double num_cycles = 0.5;
  double min_fraction = 0.0;
  std::optional<Interval> interval;
};

enum class Goal { min, max };
constexpr auto enum_names(Goal) {
  return std::array{std::pair{Goal::min, "min"}, std::pair{Goal::max, "max"}};
}
enum class ThresholdMode { rel, abs };
constexpr auto enum_names(ThresholdMode) {
  return std::array{std::pair{ThresholdMode::rel, "rel"}, std::pair{ThresholdMode::abs, "abs"}};
}
// Looks at the monitored value after each epoch in which there is a new one.
struct ReduceLROnPlateauOptions {
  static constexpr const char* kName = "ReduceLROnPlateau";
  std::string monitor = "val_loss";
  Goal mode = Goal::min;
  double factor = 0.1;
  int64_t patience = 10;
  double threshold = 1e-4;
  ThresholdMode threshold_mode = ThresholdMode::rel;
  int64_t cooldown = 0;
  double min_lr = 0;
  double eps = 1e-8;
};

// A schedule whose rate is a function of the number of intervals alone.
using PlainSchedule = std::variant<OneCycleLROptions, CosineWithWarmupLROptions, StepLROptions, MultiStepLROptions,
                                   ConstantLROptions, LinearLROptions, ExponentialLROptions, PolynomialLROptions,
                                   CosineAnnealingLROptions, CosineAnnealingWarmRestartsOptions, CyclicLROptions>;

// Each starts anew from the optimizer's rate at its milestone.
struct SequentialLROptions {
  static constexpr const char* kName = "SequentialLR";
  std::vector<PlainSchedule> schedulers;
  std::vector<int64_t> milestones;
  std::optional<Interval> interval;
};

using ScheduleOptions =
    std::variant<OneCycleLROptions, CosineWithWarmupLROptions, StepLROptions, MultiStepLROptions, ConstantLROptions,
                 LinearLROptions, ExponentialLROptions, PolynomialLROptions, CosineAnnealingLROptions,
                 CosineAnnealingWarmRestartsOptions, CyclicLROptions, ReduceLROnPlateauOptions, SequentialLROptions>;

// Throws core::ConfigError for what torch refuses, and for what is required and not there.
void check(const ScheduleOptions& options);
std::string name(const ScheduleOptions& options);
Interval interval(const ScheduleOptions& options);

// The same with the optimizer's rate where OneCycleLR is not told its highest.
ScheduleOptions with_rate(ScheduleOptions options, double lr);
// The same with the length of the run where OneCycleLR or CosineWithWarmupLR are not told theirs; `planned` is in their
// interval, and nothing where the run has no known end.
ScheduleOptions with_length(ScheduleOptions options, std::optional<int64_t> planned);

inline constexpr const char* kIntervalHelp = "step or epoch: what is counted";

template <class Visitor>
void visit(StepLROptions& o, Visitor&& field) {
  field("step_size", o.step_size, "intervals between two reductions; required");
  field("gamma", o.gamma, "factor of each reduction");
  field("interval", o.interval, kIntervalHelp);
}
template <class Visitor>
void visit(MultiStepLROptions& o, Visitor&& field) {
  field("milestones", o.milestones, "when the rate is reduced; required");
  field("gamma", o.gamma, "factor of each reduction");
  field("interval", o.interval, kIntervalHelp);
}
template <class Visitor>
void visit(ConstantLROptions& o, Visitor&& field) {
  field("factor", o.factor, "factor of the first intervals");
  field("total_iters", o.total_iters, "how many these are");
  field("interval", o.interval, kIntervalHelp);
}
template <class Visitor>
void visit(LinearLROptions& o, Visitor&& field) {
  field("start_factor", o.start_factor, "factor at the start");
  field("end_factor", o.end_factor, "factor at the end");
  field("total_iters", o.total_iters, "intervals from one to the other");
  field("interval", o.interval, kIntervalHelp);
}
template <class Visitor>
void visit(ExponentialLROptions& o, Visitor&& field) {
  field("gamma", o.gamma, "factor of each interval; required");
  field("interval", o.interval, kIntervalHelp);
}
template <class Visitor>
void visit(PolynomialLROptions& o, Visitor&& field) {
  field("total_iters", o.total_iters, "intervals until the rate is 0");
  field("power", o.power, "power of the part that is left");
  field("interval", o.interval, kIntervalHelp);
}
template <class Visitor>
void visit(CosineAnnealingLROptions& o, Visitor&& field) {
  field("T_max", o.T_max, "intervals of half a period; required");
  field("eta_min", o.eta_min, "lowest rate");
  field("interval", o.interval, kIntervalHelp);
}
template <class Visitor>
void visit(CosineAnnealingWarmRestartsOptions& o, Visitor&& field) {
  field("T_0", o.T_0, "intervals until the first restart; required");
  field("T_mult", o.T_mult, "factor of that length after each restart");
  field("eta_min", o.eta_min, "lowest rate");
  field("interval", o.interval, kIntervalHelp);
}
template <class Visitor>
void visit(OneCycleLROptions& o, Visitor&& field) {
  field("max_lr", o.max_lr, "highest rate; default: the optimizer's");
  field("total_steps", o.total_steps, "length of the cycle; null: epochs * steps_per_epoch, or that of the run");
  field("epochs", o.epochs, "epochs of the cycle, where total_steps is null");
  field("steps_per_epoch", o.steps_per_epoch, "steps of each, where total_steps is null");
  field("pct_start", o.pct_start, "part of the cycle in which the rate rises");
  field("anneal_strategy", o.anneal_strategy, "form of the two slopes");
  field("cycle_momentum", o.cycle_momentum, "move momentum (or the first of betas) against the rate");
  field("base_momentum", o.base_momentum, "momentum at the highest rate");
  field("max_momentum", o.max_momentum, "momentum at the lowest rates");
  field("div_factor", o.div_factor, "the first rate is max_lr / div_factor");
  field("final_div_factor", o.final_div_factor, "the last rate is the first / final_div_factor");
  field("three_phase", o.three_phase, "fall to the first rate as long as it rose, and then to the last");
  field("interval", o.interval, kIntervalHelp);
}
template <class Visitor>
void visit(CyclicLROptions& o, Visitor&& field) {
  field("base_lr", o.base_lr, "lowest rate; required");
  field("max_lr", o.max_lr, "highest rate; required");
  field("step_size_up", o.step_size_up, "intervals of rising");
  field("step_size_down", o.step_size_down, "intervals of falling; null: step_size_up");
  field("mode", o.mode, "how the height of the cycles changes: not, by half each, by gamma each interval");
  field("gamma", o.gamma, "factor of exp_range");
  field("cycle_momentum", o.cycle_momentum, "move momentum (or the first of betas) against the rate");
  field("base_momentum", o.base_momentum, "momentum at the highest rate");
  field("max_momentum", o.max_momentum, "momentum at the lowest rate");
  field("interval", o.interval, kIntervalHelp);
}
template <class Visitor>
void visit(CosineWithWarmupLROptions& o, Visitor&& field) {
  field("training_steps", o.training_steps, "length of the whole; null: that of the run");
  field("warmup_steps", o.warmup_steps, "intervals of rising from 0");
  field("num_cycles", o.num_cycles, "periods of the cosine; 0.5 falls once");
  field("min_fraction", o.min_fraction, "lowest rate, as part of the optimizer's");
  field("interval", o.interval, kIntervalHelp);
}
template <class Visitor>
void visit(ReduceLROnPlateauOptions& o, Visitor&& field) {
  field("monitor", o.monitor, "metric to look at");
  field("mode", o.mode, "is it to fall (min) or to rise (max)");
  field("factor", o.factor, "factor of each reduction");
  field("patience", o.patience, "epochs without an improvement that are tolerated");
  field("threshold", o.threshold, "smallest change that is an improvement");
  field("threshold_mode", o.threshold_mode, "is threshold a part of the best value (rel) or a difference (abs)");
  field("cooldown", o.cooldown, "epochs after a reduction that do not count");
  field("min_lr", o.min_lr, "lowest rate");
  field("eps", o.eps, "smaller reductions are not made");
}
template <class Visitor>
void visit(SequentialLROptions& o, Visitor&& field) {
  field("schedulers", o.schedulers, "schedules, one after the other");
  field("milestones", o.milestones, "when the second, third, ... begins");
  field("interval", o.interval, kIntervalHelp);
}

}  // namespace perceive::train
