// LAMB.
#include "perceive/train/lamb.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <memory>

namespace perceive::train {
namespace {

constexpr double kLargestNorm = 10.0;

std::unique_ptr<torch::optim::OptimizerOptions> boxed(const LambOptions& options) {
  auto box = std::make_unique<Lamb::Options>();
  box->values = options;
  return box;
}

}  // namespace

Lamb::Lamb(const std::vector<at::Tensor>& parameters, const LambOptions& options)
    : Optimizer({torch::optim::OptimizerParamGroup(parameters)}, boxed(options)) {}

at::Tensor Lamb::step(LossClosure closure) {
  at::Tensor loss;
  if (closure) {
    const at::AutoGradMode grad(true);
    loss = closure();
  }
  const at::NoGradGuard no_grad;
  for (auto& group : param_groups()) {
    const auto& o = static_cast<const Options&>(group.options()).values;
    for (auto& w : group.params()) {
      const auto& gradient = w.grad();
      if (!gradient.defined()) continue;
      auto& slot = state_[w.unsafeGetTensorImpl()];
      if (!slot) {
        auto fresh = std::make_unique<State>();
        fresh->exp_avg = at::zeros_like(w);
        fresh->exp_avg_sq = at::zeros_like(w);
        slot = std::move(fresh);
      }
      auto& state = static_cast<State&>(*slot);
      ++state.step;
      state.exp_avg.mul_(o.betas[0]).add_(gradient, 1 - o.betas[0]);
      state.exp_avg_sq.mul_(o.betas[1]).addcmul_(gradient, gradient, 1 - o.betas[1]);
      auto change = state.exp_avg / (state.exp_avg_sq.sqrt() + o.eps);
      if (o.weight_decay != 0) change.add_(w, o.weight_decay);
      const double weight = std::min(w.norm().item<double>(), kLargestNorm), length = change.norm().item<double>();
      const double ratio = weight == 0 || length == 0 ? 1.0 : weight / length;
      w.add_(change, -o.lr * ratio);
    }
  }
  return loss;
}

}  // namespace perceive::train
