// Steps of training that leave no trace.
#pragma once

#include <torch/nn/module.h>

#include <vector>

#include "perceive/data/loader.h"
#include "perceive/train/learner.h"
#include "perceive/train/optimizer.h"
#include "perceive/train/random.h"
#include "perceive/train/trainer_options.h"

namespace perceive::train {

// A module computes with copies in this scope; its parameters, buffers, gradients and mode are after it what they were
// before, to the bit.
class KeepModule {
 public:
  explicit KeepModule(torch::nn::Module& module);
  ~KeepModule();
  KeepModule(const KeepModule&) = delete;
  KeepModule& operator=(const KeepModule&) = delete;

 private:
  struct Kept {
    at::Tensor tensor, values, gradient;
  };
  torch::nn::Module& module_;
  bool was_training_;
  std::vector<Kept> kept_;
};

// Steps by an optimizer of its own, which change neither the learner nor the random generator.
class Rehearsal {
 public:
  Rehearsal(Learner& learner, data::Loader& loader, const OptimizerOptions& optimizer, const TrainerOptions& options);

  // Of the mean gradient of the next `batches` batches, epoch after epoch, clipped as in training. Returns the mean of
  // their losses, or one that is not finite; there is no step then.
  double step(double lr, int64_t batches);

 private:
  data::Batch next_batch();

  const KeepRandomState random_;
  const KeepModule module_;
  Learner& learner_;
  data::Loader& loader_;
  const TrainerOptions options_;
  Optimizer optimizer_;
  int64_t epoch_ = 0;
};

}  // namespace perceive::train
