// Learning to tell classes apart.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "perceive/train/learner.h"

namespace perceive::train {

// Loss: cross entropy, mean over the batch. Metric: "acc", the part of the batch whose label has the highest logit.
class Classifier : public Learner {
 public:
  // From the batch's tensors to logits [B, classes].
  using Forward = std::function<at::Tensor(const data::Batch&)>;

  Classifier(std::shared_ptr<torch::nn::Module> module, Forward forward)
      : module_(std::move(module)), forward_(std::move(forward)) {}

  torch::nn::Module& module() override { return *module_; }
  // Needs "label" [B], int64, in the batch; throws core::DataError that names the first one out of range.
  StepOutput step(const data::Batch& batch, Stage stage) override;
  // "probabilities" [B, classes], "label" [B].
  data::Batch predict(const data::Batch& batch) override;

 private:
  at::Tensor logits(const data::Batch& batch);

  std::shared_ptr<torch::nn::Module> module_;
  Forward forward_;
};

}  // namespace perceive::train
