// The rules of Lightning's EarlyStopping.
#include "perceive/train/early_stopping.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "perceive/core/error.h"
#include "perceive/core/text.h"

namespace perceive::train {

void check(const EarlyStoppingOptions& o) {
  if (o.monitor.empty()) {
    throw core::ConfigError(
        "trainer.early_stopping.monitor: expected the name of a metric, such as val_loss, got none");
  }
  if (!(o.min_delta >= 0)) {
    throw core::ConfigError(fmt::format("trainer.early_stopping.min_delta: expected 0 or more, got {}", o.min_delta));
  }
  if (o.patience < 0) {
    throw core::ConfigError(fmt::format("trainer.early_stopping.patience: expected 0 or more, got {}", o.patience));
  }
}

EarlyStopping::EarlyStopping(const EarlyStoppingOptions& options) : options_(options) {
  check(options_);
}

void EarlyStopping::look_at(double value) {
  const bool down = options_.mode == Goal::min;
  const auto better = [&](double a, double b) { return down ? a < b : a > b; };
  const auto& o = options_;
  if (!std::isfinite(value)) {
    if (o.check_finite) {
      final_reason_ = fmt::format("{} is {}, which is not a finite number", o.monitor, core::shortest(value));
    } else {
      ++waited_;
    }
  } else if (o.stopping_threshold && better(value, *o.stopping_threshold)) {
    final_reason_ =
        fmt::format("{} = {:.4g} is better than stopping_threshold {:.4g}", o.monitor, value, *o.stopping_threshold);
  } else if (o.divergence_threshold && better(*o.divergence_threshold, value)) {
    final_reason_ =
        fmt::format("{} = {:.4g} is worse than divergence_threshold {:.4g}", o.monitor, value, *o.divergence_threshold);
  } else if (!best_ || better(down ? value + o.min_delta : value - o.min_delta, *best_)) {
    best_ = value;
    waited_ = 0;
  } else {
    ++waited_;
  }
}

std::optional<std::string> EarlyStopping::reason() const {
  if (!final_reason_.empty()) return final_reason_;
  if (waited_ == 0 || waited_ < options_.patience) return std::nullopt;
  return fmt::format("{} did not improve in the last {} validations; the best was {:.4g}", options_.monitor, waited_,
                     best_.value_or(std::nan("")));
}

nlohmann::json EarlyStopping::state() const {
  nlohmann::json state{{"waited", waited_}, {"reason", final_reason_}};
  if (best_) state["best"] = *best_;
  return state;
}

void EarlyStopping::restore(const nlohmann::json& state) {
  waited_ = state.at("waited");
  final_reason_ = state.at("reason");
  best_ = state.contains("best") ? std::optional<double>(state["best"]) : std::nullopt;
}

}  // namespace perceive::train
