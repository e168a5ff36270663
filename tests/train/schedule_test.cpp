#include "perceive/train/schedule.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "perceive/core/config.h"
#include "perceive/core/error.h"

namespace perceive::train {

struct ScheduleCase {
  ScheduleOptions schedule;
};
template <class Visitor>
void visit(ScheduleCase& o, Visitor&& field) {
  field("schedule", o.schedule, "");
}

namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

nlohmann::json golden() {
  std::ifstream file(PERCEIVE_ROOT "/tests/golden/schedules.json");
  return nlohmann::json::parse(file);
}

ScheduleOptions options_of(const nlohmann::json& json) {
  ScheduleCase options;
  core::assign_json(options, {{"schedule", json}}, "golden");
  return options.schedule;
}

void expect_refused(const ScheduleOptions& options, const std::string& message) {
  EXPECT_THAT([&] { check(options); }, ThrowsMessage<core::ConfigError>(HasSubstr(message)));
}

TEST(Schedule, GivesTorchsRatesAndMomentaStepByStep) {
  const auto json = golden();
  for (const auto& example : json["cases"]) {
    SCOPED_TRACE(example["options"].dump());
    Schedule schedule(options_of(example["options"]), json["lr"]);
    for (size_t step = 0; step < example["lr"].size(); ++step) {
      const Rates rates = schedule.rates();
      EXPECT_NEAR(rates.lr, example["lr"][step], 1e-12) << step;
      EXPECT_EQ(rates.momentum.has_value(), schedule.cycles_momentum());
      EXPECT_NEAR(rates.momentum.value_or(json["momentum"]), example["momentum"][step], 1e-12) << step;
      schedule.advance(schedule.monitor() ? std::optional<double>(json["metrics"][step]) : std::nullopt);
    }
  }
}

TEST(Schedule, ContinuesFromItsStateBitForBit) {
  const auto json = golden();
  for (const auto& example : json["cases"]) {
    const auto options = options_of(example["options"]);
    SCOPED_TRACE(example["options"].dump());
    Schedule whole(options, 0.1), first(options, 0.1);
    const auto advance = [&](Schedule& schedule, int step) {
      schedule.advance(schedule.monitor() ? std::optional<double>(json["metrics"][step]) : std::nullopt);
    };
    for (int step = 0; step < 17; ++step) advance(whole, step), advance(first, step);
    Schedule second(options, 0.1);
    second.restore(nlohmann::json::parse(first.state().dump()));
    for (int step = 17; step < 50; ++step) {
      EXPECT_EQ(second.rates().lr, whole.rates().lr);
      EXPECT_EQ(second.rates().momentum, whole.rates().momentum);
      advance(whole, step), advance(second, step);
    }
  }
}

TEST(Schedule, IsConstantWithoutOptions) {
  Schedule schedule(std::nullopt, 0.25);
  for (int i = 0; i < 3; ++i) schedule.advance();
  EXPECT_EQ(schedule.rates().lr, 0.25);
  EXPECT_FALSE(schedule.rates().momentum);
}

// specs: 0.2.1's masked language model, max_lr 3e-3, 50,000 steps, pct_start 0.1.
TEST(Schedule, OneCycleHasTheReferencesRates) {
  const OneCycleLROptions o{.max_lr = 3e-3, .total_steps = 50000, .pct_start = 0.1, .cycle_momentum = false};
  EXPECT_NEAR(rates_at(o, 1, 0).lr, 1.2e-4, 1e-15);
  EXPECT_NEAR(rates_at(o, 1, 2500).lr, 1.56045248e-3, 1e-11);
  EXPECT_NEAR(rates_at(o, 1, 4999).lr, 3e-3, 1e-15);
  EXPECT_NEAR(rates_at(o, 1, 27500).lr, 1.499901281e-3, 1e-12);
  EXPECT_NEAR(rates_at(o, 1, 49999).lr, 1.2e-8, 1e-15);
}

TEST(Schedule, OneCycleOfOneStepAndWithoutARiseOrAFallIsFinite) {
  for (const double rise : {0.0, 0.3, 1.0}) {
    for (const int64_t total : {1, 2, 3}) {
      for (const bool three_phase : {false, true}) {
        const OneCycleLROptions o{.max_lr = 1, .total_steps = total, .pct_start = rise, .three_phase = three_phase};
        for (int64_t t = 0; t <= total; ++t) EXPECT_TRUE(std::isfinite(rates_at(o, 1, t).lr)) << rise << " " << t;
      }
    }
  }
}

TEST(Schedule, OneCycleRefusesToGoOnAfterItsEnd) {
  Schedule schedule(OneCycleLROptions{.max_lr = 1, .total_steps = 2}, 1);
  schedule.advance(), schedule.advance();
  EXPECT_NO_THROW(schedule.rates());
  schedule.advance();
  EXPECT_THAT([&] { schedule.rates(); },
              ThrowsMessage<core::ConfigError>(HasSubstr("the cycle is 2 steps long, and step 3 was to follow")));
}

// specs: perceiver-io 0.11.1.
TEST(Schedule, CosineWithWarmupRisesFromZeroAndFallsToItsLowest) {
  const CosineWithWarmupLROptions o{.training_steps = 110, .warmup_steps = 10, .min_fraction = 0.1};
  EXPECT_EQ(rates_at(o, 2, 0).lr, 0);
  EXPECT_DOUBLE_EQ(rates_at(o, 2, 5).lr, 1);
  EXPECT_DOUBLE_EQ(rates_at(o, 2, 10).lr, 2 * (0.1 + 0.9));
  EXPECT_DOUBLE_EQ(rates_at(o, 2, 60).lr, 2 * (0.1 + 0.45));
  EXPECT_DOUBLE_EQ(rates_at(o, 2, 110).lr, 2 * 0.1);
  EXPECT_EQ(rates_at(CosineWithWarmupLROptions{.training_steps = 5}, 2, 0).lr, 2);
}

TEST(Schedule, CountsStepsOrEpochs) {
  EXPECT_EQ(interval(OneCycleLROptions{}), Interval::step);
  EXPECT_EQ(interval(CosineWithWarmupLROptions{}), Interval::step);
  EXPECT_EQ(interval(StepLROptions{}), Interval::epoch);
  EXPECT_EQ(interval(StepLROptions{.interval = Interval::step}), Interval::step);
  EXPECT_EQ(interval(OneCycleLROptions{.interval = Interval::epoch}), Interval::epoch);
  EXPECT_EQ(interval(ReduceLROnPlateauOptions{}), Interval::epoch);
}

TEST(Schedule, TakesItsLengthFromTheRunWhereItHasNone) {
  const auto cycle = std::get<OneCycleLROptions>(with_length(OneCycleLROptions{.max_lr = 1}, 70));
  EXPECT_EQ(cycle.total_steps, 70);
  const auto own = std::get<OneCycleLROptions>(with_length(OneCycleLROptions{.epochs = 3, .steps_per_epoch = 4}, 70));
  EXPECT_EQ(own.total_steps, 12);
  EXPECT_EQ(std::get<CosineWithWarmupLROptions>(with_length(CosineWithWarmupLROptions{}, 9)).training_steps, 9);
  EXPECT_THAT([] { with_length(OneCycleLROptions{.max_lr = 1}, std::nullopt); },
              ThrowsMessage<core::ConfigError>(HasSubstr("OneCycleLR.total_steps: expected a positive number, or "
                                                         "trainer.max_steps or trainer.max_epochs to be set")));
}

TEST(Schedule, OneCycleRisesToTheOptimizersRateWhereNoneIsGiven) {
  EXPECT_EQ(std::get<OneCycleLROptions>(with_rate(OneCycleLROptions{}, 0.3)).max_lr, 0.3);
  EXPECT_EQ(std::get<OneCycleLROptions>(with_rate(OneCycleLROptions{.max_lr = 1}, 0.3)).max_lr, 1);
}

TEST(Schedule, APlateauDoesNotTakeNanForAnImprovement) {
  Schedule schedule(ReduceLROnPlateauOptions{.patience = 0}, 1);
  schedule.advance(NAN);
  EXPECT_DOUBLE_EQ(schedule.rates().lr, 0.1);
  schedule.advance(5.0), schedule.advance(4.0);
  EXPECT_DOUBLE_EQ(schedule.rates().lr, 0.1);
}

TEST(Schedule, RefusesAnotherOnesState) {
  Schedule schedule(StepLROptions{.step_size = 3}, 1), other(std::nullopt, 1);
  EXPECT_THAT([&] { schedule.restore(other.state()); },
              ThrowsMessage<core::ConfigError>(HasSubstr("made with none, this run has StepLR")));
}

TEST(Schedule, RefusesWhatTorchRefuses) {
  expect_refused(StepLROptions{}, "StepLR.step_size: expected 1 or more, got 0");
  expect_refused(MultiStepLROptions{}, "MultiStepLR.milestones: expected at least one (it is required), got none");
  expect_refused(ConstantLROptions{.factor = 1.5}, "ConstantLR.factor: expected a number from 0 to 1, got 1.5");
  expect_refused(LinearLROptions{.start_factor = 0}, "LinearLR.start_factor: expected a number above 0");
  expect_refused(LinearLROptions{.total_iters = 0}, "LinearLR.total_iters: expected 1 or more, got 0");
  expect_refused(ExponentialLROptions{}, "ExponentialLR.gamma: expected a number (it is required), got none");
  expect_refused(PolynomialLROptions{.power = NAN}, "PolynomialLR.power: expected 0 or more, got nan");
  expect_refused(CosineAnnealingLROptions{}, "CosineAnnealingLR.T_max: expected 1 or more, got 0");
  expect_refused(CosineAnnealingWarmRestartsOptions{.T_0 = 1, .T_mult = 0}, "T_mult: expected 1 or more, got 0");
  expect_refused(OneCycleLROptions{}, "OneCycleLR.max_lr: expected a number (it is required), got none");
  expect_refused(OneCycleLROptions{.max_lr = 1, .total_steps = -1},
                 "OneCycleLR.total_steps: expected 1 or more, or null to have the length of the run, got -1");
  expect_refused(OneCycleLROptions{.max_lr = 1, .pct_start = 1.2}, "pct_start: expected a number from 0 to 1");
  expect_refused(OneCycleLROptions{.max_lr = 1, .epochs = 1 << 30, .steps_per_epoch = int64_t{1} << 40},
                 "at most 1e18");
  expect_refused(CyclicLROptions{.base_lr = 1}, "CyclicLR.max_lr: expected a number (it is required), got none");
  expect_refused(CosineWithWarmupLROptions{.warmup_steps = -1}, "warmup_steps: expected 0 or more, got -1");
  expect_refused(ReduceLROnPlateauOptions{.factor = 1}, "factor: expected a number from 0 to below 1, got 1");
  expect_refused(SequentialLROptions{}, "SequentialLR.schedulers: expected at least one, got none");
  expect_refused(SequentialLROptions{.schedulers = {LinearLROptions{}}, .milestones = {3}},
                 "SequentialLR.milestones: expected 0, one less than schedulers, got 1");
  expect_refused(SequentialLROptions{.schedulers = {LinearLROptions{}, LinearLROptions{}, LinearLROptions{}},
                                     .milestones = {3, 3}},
                 "SequentialLR.milestones: expected rising numbers, got [3, 3]");
  expect_refused(SequentialLROptions{.schedulers = {LinearLROptions{.interval = Interval::step}}},
                 "LinearLR.interval: expected none within SequentialLR");
  expect_refused(SequentialLROptions{.schedulers = {OneCycleLROptions{.max_lr = 1}}},
                 "OneCycleLR.total_steps: expected a number, as it is a part of SequentialLR, got none");
}

}  // namespace
}  // namespace perceive::train
