// Gradients, taken together.
#include "perceive/train/gradients.h"

#include <ATen/ATen.h>

#include "perceive/train/autocast.h"

namespace perceive::train {
namespace {

bool is_finite(const at::Tensor& tensor) {
  return !tensor.defined() || at::isfinite(tensor).all().item<bool>();
}

std::vector<at::Tensor> gradients_of(const std::vector<NamedParameter>& parameters) {
  std::vector<at::Tensor> gradients;
  for (const auto& parameter : parameters) {
    if (parameter.tensor.grad().defined()) gradients.push_back(parameter.tensor.grad());
  }
  return gradients;
}

}  // namespace

StepOutput forward(Learner& learner, const data::Batch& batch, Precision precision) {
  const Autocast autocast(precision == Precision::bf16);
  StepOutput output = learner.step(batch, Stage::fit);
  TORCH_CHECK(output.loss.defined() && output.loss.numel() == 1, "Learner::step: expected the loss to be one number");
  return output;
}

double clip_gradients(const std::vector<NamedParameter>& parameters, double limit, ClipAlgorithm algorithm) {
  const at::NoGradGuard no_grad;
  auto gradients = gradients_of(parameters);
  if (gradients.empty()) return 0;
  if (algorithm == ClipAlgorithm::value) {
    for (auto& gradient : gradients) gradient.clamp_(-limit, limit);
    return 0;
  }
  const at::Tensor norm = at::linalg_vector_norm(at::stack(at::_foreach_norm(gradients, 2)), 2);
  // Always multiplied, by 1 at most, so that a number of steps of equal cost and the bits of torch come out.
  const at::Tensor factor = (limit / (norm + 1e-6)).clamp_max(1.0);
  for (auto& gradient : gradients) gradient.mul_(factor);
  return norm.item<double>();
}

std::string non_finite_parameter(const std::vector<NamedParameter>& parameters) {
  for (const auto& [name, tensor] : parameters) {
    if (!is_finite(tensor)) return name;
  }
  return {};
}

std::string non_finite_gradient(const std::vector<NamedParameter>& parameters) {
  for (const auto& [name, tensor] : parameters) {
    if (!is_finite(tensor.grad())) return name;
  }
  return {};
}

}  // namespace perceive::train
