// LAMB (You et al. 2019, arXiv 1904.00962) as pytorch-lamb has it, which flash-perceiver's CIFAR-10 example trains
// with.
#pragma once

#include <torch/optim/optimizer.h>

#include <utility>
#include <vector>

#include "perceive/train/optimizer_options.h"

namespace perceive::train {

// Running means without bias correction: s = m / (sqrt(v) + eps) + weight_decay w, then
// w -= lr · r s with r = min(|w|, 10) / |s|, norms over a whole parameter; r = 1 where either is 0.
class Lamb : public torch::optim::Optimizer {
 public:
  struct Options : torch::optim::OptimizerCloneableOptions<Options> {
    LambOptions values;
    double get_lr() const override { return values.lr; }
    void set_lr(double lr) override { values.lr = lr; }
  };
  struct State : torch::optim::OptimizerCloneableParamState<State> {
    int64_t step = 0;
    at::Tensor exp_avg, exp_avg_sq;
  };

  Lamb(const std::vector<at::Tensor>& parameters, const LambOptions& options);
  at::Tensor step(LossClosure closure = nullptr) override;
};

}  // namespace perceive::train
