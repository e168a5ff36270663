// A pass over a data set without learning.
#pragma once

#include <functional>
#include <string>

#include "perceive/data/loader.h"
#include "perceive/train/metrics.h"
#include "perceive/train/trainer_options.h"

namespace perceive::train {

// In the dtype that is computed with: a module, and the floating-point tensors of a batch.
torch::nn::Module& in_precision(torch::nn::Module& module, Precision precision);
data::Batch in_precision(data::Batch batch, Precision precision);

// Evaluation mode for a scope, with the training mode of before after it.
class EvaluationMode {
 public:
  explicit EvaluationMode(torch::nn::Module& module) : module_(module), was_training_(module.is_training()) {
    module_.eval();
  }
  ~EvaluationMode() { module_.train(was_training_); }
  EvaluationMode(const EvaluationMode&) = delete;
  EvaluationMode& operator=(const EvaluationMode&) = delete;

 private:
  torch::nn::Module& module_;
  bool was_training_;
};

struct EvaluationOptions {
  Stage stage = Stage::validate;
  int64_t batches = 0;  // how many of the loader's
  std::string title;    // of the progress bar
  bool show_progress = true;
  Precision precision = Precision::fp32;
  std::function<bool()> stop;  // asked before each batch
};

// The first batches of the loader's epoch 0, each given to `use`, in evaluation mode and without gradients. False where
// `stop` ended it.
bool for_each_batch(Learner& learner, data::Loader& loader, const EvaluationOptions& options,
                    const std::function<void(const data::Batch&)>& use);
// Means weighted by batch size, or nothing where `stop` ended it.
std::optional<Means> evaluate(Learner& learner, data::Loader& loader, const EvaluationOptions& options);

}  // namespace perceive::train
