// Initial weights in the order of another code base.
#include "perceive/models/dialects/draws.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/empty.h>
#include <c10/core/GradMode.h>
#include <torch/nn/init.h>

#include <cmath>
#include <mutex>

namespace perceive::models {
namespace {

void draw_linear(at::Tensor weight, at::Tensor bias) {
  const at::NoGradGuard no_grad;
  torch::nn::init::kaiming_uniform_(weight, std::sqrt(5.0));
  if (!bias.defined()) return;
  const double bound = 1.0 / std::sqrt(static_cast<double>(weight[0].numel()));
  bias.uniform_(-bound, bound);
}

}  // namespace

GeneratorState::GeneratorState() {
  auto generator = at::detail::getDefaultCPUGenerator();
  const std::lock_guard<std::mutex> lock(generator.mutex());
  state_ = generator.get_state();
}

void GeneratorState::restore() const {
  auto generator = at::detail::getDefaultCPUGenerator();
  const std::lock_guard<std::mutex> lock(generator.mutex());
  generator.set_state(state_);
}

Draws::Draws(const torch::nn::Module& module) : parameters_(module.named_parameters()) {}

at::Tensor Draws::find(const std::string& name) const {
  const auto* found = parameters_.find(name);
  return found ? *found : at::Tensor();
}

void Draws::normal(const std::string& name) {
  const at::NoGradGuard no_grad;
  if (auto tensor = find(name); tensor.defined()) tensor.normal_();
}

void Draws::linear(const std::string& name) {
  if (auto weight = find(name + ".weight"); weight.defined()) draw_linear(weight, find(name + ".bias"));
}

void Draws::recurrent(const std::string& name) {
  const at::NoGradGuard no_grad;
  for (const char* part : {".weight_ih", ".weight_hh", ".bias_ih", ".bias_hh"}) {
    auto tensor = find(name + part);
    if (!tensor.defined()) continue;
    const double bound = 1.0 / std::sqrt(static_cast<double>(tensor.size(0) / 3));
    tensor.uniform_(-bound, bound);
  }
}

void Draws::discarded_linear(int64_t in, int64_t out, bool bias) {
  draw_linear(at::empty({out, in}), bias ? at::empty({out}) : at::Tensor());
}

}  // namespace perceive::models
