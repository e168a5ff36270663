// Stops training when a metric no longer improves.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "perceive/train/schedule_options.h"

namespace perceive::train {

struct EarlyStoppingOptions {
  std::string monitor = "val_loss";
  Goal mode = Goal::min;
  double min_delta = 0;
  int64_t patience = 3;
  bool check_finite = true;
  std::optional<double> stopping_threshold;
  std::optional<double> divergence_threshold;
};
template <class Visitor>
void visit(EarlyStoppingOptions& o, Visitor&& field) {
  field("monitor", o.monitor, "metric to look at after each validation");
  field("mode", o.mode, "is it to fall (min) or to rise (max)");
  field("min_delta", o.min_delta, "smaller changes are no improvement");
  field("patience", o.patience, "validations without an improvement after which training stops");
  field("check_finite", o.check_finite, "stop when the metric is NaN or infinite");
  field("stopping_threshold", o.stopping_threshold, "stop once the metric is better than this");
  field("divergence_threshold", o.divergence_threshold, "stop once the metric is worse than this");
}
void check(const EarlyStoppingOptions& options);

class EarlyStopping {
 public:
  explicit EarlyStopping(const EarlyStoppingOptions& options);
  const EarlyStoppingOptions& options() const { return options_; }

  void look_at(double value);
  // Why training is to stop; nothing while it is to go on. More patience than before lets a resumed run go on.
  std::optional<std::string> reason() const;

  nlohmann::json state() const;
  void restore(const nlohmann::json& state);

 private:
  EarlyStoppingOptions options_;
  std::optional<double> best_;
  int64_t waited_ = 0;
  std::string final_reason_;
};

}  // namespace perceive::train
