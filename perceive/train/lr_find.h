// The learning-rate range test: a rate that rises from step to step, and the place where the loss falls fastest.
//
// Source: Smith 2017, arXiv 1506.01186, section 3.3, with the smoothing and the suggestion of Lightning's lr_find. Its
// 1.6 corrects the bias of the running mean as if one more step had been made; here the correction is exact.
#pragma once

#include <array>
#include <optional>
#include <vector>

#include "perceive/data/loader.h"
#include "perceive/train/learner.h"
#include "perceive/train/optimizer_options.h"
#include "perceive/train/trainer_options.h"

namespace perceive::train {

enum class RateSpacing { exponential, linear };
constexpr auto enum_names(RateSpacing) {
  return std::array{std::pair{RateSpacing::exponential, "exponential"}, std::pair{RateSpacing::linear, "linear"}};
}

struct LrFindOptions {
  double min_lr = 1e-8;
  double max_lr = 1;
  int64_t num_training = 100;
  RateSpacing mode = RateSpacing::exponential;
  std::optional<double> early_stop_threshold = 4;
};
template <class Visitor>
void visit(LrFindOptions& o, Visitor&& field) {
  field("min_lr", o.min_lr, "first rate");
  field("max_lr", o.max_lr, "last rate");
  field("num_training", o.num_training, "steps from one to the other");
  field("mode", o.mode, "how the rate rises");
  field("early_stop_threshold", o.early_stop_threshold,
        "end where the smoothed loss is so many times the smallest; null: only where it is not finite");
}
// Throws core::ConfigError.
void check(const LrFindOptions& options);

struct LrFindResult {
  std::vector<double> lr, loss, smoothed_loss;  // of each step
  std::optional<size_t> suggestion;             // a step's index; nothing where there were too few
  bool interrupted = false;                     // by a signal
};

// Leaves the learner and the random generator as they were; see Rehearsal. Schedules do not count. Throws
// core::ConfigError for an optimizer that has no rate to search for.
LrFindResult find_lr(Learner& learner, data::Loader& loader, const OptimizerOptions& optimizer,
                     const TrainerOptions& trainer, const LrFindOptions& options = {});

// The rate of the step, from 0.
double rate_at(const LrFindOptions& options, int64_t step);
// Where the central difference of the losses is smallest, without the first ten and the last; nothing where less than
// two are left.
std::optional<size_t> steepest_descent(const std::vector<double>& losses);

}  // namespace perceive::train
