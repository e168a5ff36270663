// The ranges that torch.optim demands.
#include "perceive/train/optimizer_options.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>

#include "perceive/core/error.h"

namespace perceive::train {
namespace {

void expect(bool ok, const char* optimizer, const char* key, const char* expected, const auto& got) {
  if (!ok) throw core::ConfigError(fmt::format("{}.{}: expected {}, got {}", optimizer, key, expected, got));
}

// NaN is in no range.
void expect_not_negative(const char* optimizer, const char* key, double value) {
  expect(value >= 0, optimizer, key, "0 or more", value);
}

void check_adam(const auto& o) {
  expect_not_negative(o.kName, "lr", o.lr);
  expect_not_negative(o.kName, "eps", o.eps);
  expect_not_negative(o.kName, "weight_decay", o.weight_decay);
  const auto in_range = [](double beta) { return beta >= 0 && beta < 1; };
  expect(o.betas.size() == 2 && in_range(o.betas[0]) && in_range(o.betas[1]), o.kName, "betas",
         "two numbers from 0 to below 1", o.betas);
}

void check_one(const AdamOptions& o) {
  check_adam(o);
}
void check_one(const AdamWOptions& o) {
  check_adam(o);
}
void check_one(const AdamaxOptions& o) {
  check_adam(o);
}
void check_one(const LambOptions& o) {
  check_adam(o);
}
void check_one(const RAdamOptions& o) {
  check_adam(o);
}
void check_one(const NAdamOptions& o) {
  check_adam(o);
  expect_not_negative(o.kName, "momentum_decay", o.momentum_decay);
}
void check_one(const AdadeltaOptions& o) {
  expect_not_negative(o.kName, "lr", o.lr);
  expect(o.rho >= 0 && o.rho <= 1, o.kName, "rho", "a number from 0 to 1", o.rho);
  expect_not_negative(o.kName, "eps", o.eps);
  expect_not_negative(o.kName, "weight_decay", o.weight_decay);
}
void check_one(const ASGDOptions& o) {
  expect_not_negative(o.kName, "lr", o.lr);
  expect_not_negative(o.kName, "lambd", o.lambd);
  expect_not_negative(o.kName, "alpha", o.alpha);
  expect(!std::isnan(o.t0), o.kName, "t0", "a number", o.t0);
  expect_not_negative(o.kName, "weight_decay", o.weight_decay);
}
void check_one(const RpropOptions& o) {
  expect_not_negative(o.kName, "lr", o.lr);
  expect(o.etas.size() == 2 && o.etas[0] > 0 && o.etas[0] < 1 && o.etas[1] > 1, o.kName, "etas",
         "a number between 0 and 1, and one above 1", o.etas);
  expect(o.step_sizes.size() == 2 && o.step_sizes[0] >= 0 && o.step_sizes[0] <= o.step_sizes[1], o.kName, "step_sizes",
         "the smallest and the largest step, 0 or more", o.step_sizes);
}
void check_one(const AdagradOptions& o) {
  expect_not_negative(o.kName, "lr", o.lr);
  expect_not_negative(o.kName, "lr_decay", o.lr_decay);
  expect_not_negative(o.kName, "weight_decay", o.weight_decay);
  expect_not_negative(o.kName, "initial_accumulator_value", o.initial_accumulator_value);
  expect_not_negative(o.kName, "eps", o.eps);
}
void check_one(const LBFGSOptions& o) {
  expect_not_negative(o.kName, "lr", o.lr);
  expect(o.max_iter >= 1, o.kName, "max_iter", "1 or more", o.max_iter);
  if (o.max_eval) expect(*o.max_eval >= 1, o.kName, "max_eval", "1 or more, or null", *o.max_eval);
  expect(o.history_size >= 1, o.kName, "history_size", "1 or more", o.history_size);
  expect_not_negative(o.kName, "tolerance_grad", o.tolerance_grad);
  expect_not_negative(o.kName, "tolerance_change", o.tolerance_change);
}
void check_one(const RMSpropOptions& o) {
  expect_not_negative(o.kName, "lr", o.lr);
  expect_not_negative(o.kName, "alpha", o.alpha);
  expect_not_negative(o.kName, "eps", o.eps);
  expect_not_negative(o.kName, "weight_decay", o.weight_decay);
  expect_not_negative(o.kName, "momentum", o.momentum);
}
void check_one(const SGDOptions& o) {
  expect_not_negative(o.kName, "lr", o.lr);
  expect_not_negative(o.kName, "momentum", o.momentum);
  expect_not_negative(o.kName, "weight_decay", o.weight_decay);
  if (o.nesterov && (o.momentum == 0 || o.dampening != 0)) {
    throw core::ConfigError(
        fmt::format("SGD.nesterov: expected a momentum above 0 and a dampening of 0 with it, got momentum {} and "
                    "dampening {}",
                    o.momentum, o.dampening));
  }
}

}  // namespace

void check(const OptimizerOptions& options) {
  std::visit([](const auto& o) { check_one(o); }, options);
}

std::string name(const OptimizerOptions& options) {
  return std::visit([](const auto& o) { return o.kName; }, options);
}

double learning_rate(const OptimizerOptions& options) {
  return std::visit([](const auto& o) { return o.lr; }, options);
}

}  // namespace perceive::train
