// The search for the largest batch to train with that fits into the memory.
//
// A CPU that runs out of memory swaps, or the system ends the process: nothing fails cleanly, as a GPU does. So no
// batch is tried that would not fit by what the smaller ones took: the peak of the process's resident memory is
// measured while each size makes its steps, and a straight line through the last two tells that of the next. The limit
// is what the process has at the start and 80 % of what the system can still give.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "perceive/data/loader.h"
#include "perceive/train/learner.h"
#include "perceive/train/optimizer_options.h"
#include "perceive/train/trainer_options.h"

namespace perceive::train {

struct BatchSizeOptions {
  int64_t steps_per_trial = 3;
  int64_t init_val = 2;
  int64_t max_trials = 25;
};
template <class Visitor>
void visit(BatchSizeOptions& o, Visitor&& field) {
  field("steps_per_trial", o.steps_per_trial, "steps with each size");
  field("init_val", o.init_val, "first size");
  field("max_trials", o.max_trials, "sizes tried at most");
}
// Throws core::ConfigError.
void check(const BatchSizeOptions& options);

struct BatchTrial {
  int64_t batch_size = 0;
  double examples_per_second = 0;  // of its fastest step, with loading
  double peak_memory = 0;          // bytes of the process
};

struct BatchSizeResult {
  std::vector<BatchTrial> trials;  // in the order tried
  int64_t largest = 0;             // that fits; 0: none
  std::string reason;              // why it is no larger, in words
  bool interrupted = false;        // by a signal
};

// Leaves the learner and the random generator as they were; see Rehearsal. Throws core::ConfigError where nobody knows
// how much memory there is.
BatchSizeResult scale_batch_size(Learner& learner, const data::Loader& loader, const OptimizerOptions& optimizer,
                                 const TrainerOptions& trainer, BatchSearch search,
                                 const BatchSizeOptions& options = {});

// The same with a trial given: `measure` makes one, or tells by a batch_size of 0 that it was interrupted. `base` is
// the memory before the first, `limit` that of the process, in bytes; `examples` the largest batch there could be.
BatchSizeResult search_batch_size(BatchSearch search, const BatchSizeOptions& options, int64_t examples, double base,
                                  double limit, const std::function<BatchTrial(int64_t batch_size)>& measure);

}  // namespace perceive::train
