// What a trainer trains: a module, and what one batch means to it.
#pragma once

#include <torch/nn/module.h>

#include <map>
#include <string>

#include "perceive/data/dataset.h"

namespace perceive::train {

enum class Stage { fit, validate, test, predict };

struct StepOutput {
  at::Tensor loss;                            // scalar, mean over the batch
  std::map<std::string, at::Tensor> metrics;  // scalars, means over the batch: "acc", …
  int64_t count = 0;                          // examples in the batch: the weight of its means
  // As `metrics`, of those that are the exponential of such a mean: "perplexity".
  std::map<std::string, at::Tensor> logarithms = {};
};

// The trainer logs `train_loss`, `val_loss`, `test_loss` and `train_<metric>`, … from what step() returns.
class Learner {
 public:
  virtual ~Learner() = default;
  virtual torch::nn::Module& module() = 0;
  virtual StepOutput step(const data::Batch& batch, Stage stage) = 0;
  // What the model says of a batch, by name; for predict.
  virtual data::Batch predict(const data::Batch& batch) = 0;
  // What the model makes of some examples by now, in words, by tag: logged as text after each validation.
  virtual std::map<std::string, std::string> samples() { return {}; }
};

}  // namespace perceive::train
