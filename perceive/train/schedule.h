// The learning rate over a run.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "perceive/train/schedule_options.h"

namespace perceive::train {

// What a schedule sets in an optimizer.
struct Rates {
  double lr = 0;
  std::optional<double> momentum;  // where it is cycled
};

// After `position` intervals; `lr` is the optimizer's own. A function of the position alone. OneCycleLR and
// CosineWithWarmupLR must have their length. Throws core::ConfigError after the end of a OneCycleLR.
Rates rates_at(const PlainSchedule& schedule, double lr, int64_t position);
Rates rates_at(const SequentialLROptions& schedule, double lr, int64_t position);

class Schedule {
 public:
  // Without options: always `lr`. With them complete (see with_length).
  Schedule(std::optional<ScheduleOptions> options, double lr);

  Interval interval() const;
  Rates rates() const;
  // Whether rates() ever has a momentum.
  bool cycles_momentum() const;
  // The metric that ReduceLROnPlateau looks at.
  std::optional<std::string> monitor() const;

  // An interval has passed. `metric`: a new value of monitor(), if there is one.
  void advance(std::optional<double> metric = std::nullopt);

  nlohmann::json state() const;
  void restore(const nlohmann::json& state);

 private:
  // Source: torch.optim.lr_scheduler.ReduceLROnPlateau.
  struct Plateau {
    double lr;
    std::optional<double> best;
    int64_t bad_epochs = 0;
    int64_t cooldown = 0;
  };
  void look_at(double metric, const ReduceLROnPlateauOptions& o);

  std::optional<ScheduleOptions> options_;
  double lr_;
  int64_t position_ = 0;
  Plateau plateau_;
};

}  // namespace perceive::train
