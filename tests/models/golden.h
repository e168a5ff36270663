// Weights and inputs by rule, and expected values as sums and first elements: section 7 of the specification of
// flash-perceiver and perceiver-pytorch.
#pragma once

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>
#include <torch/nn/module.h>

#include <set>
#include <string>
#include <vector>

namespace perceive::models {

// Numbers in [-0.5, 0.5) from a seed.
inline at::Tensor generated(uint64_t seed, at::IntArrayRef sizes) {
  constexpr uint64_t kModulus = uint64_t{1} << 32;
  uint64_t state = (seed * 2654435761U + 12345) % kModulus;
  auto tensor = at::empty(sizes, at::kDouble);
  auto* const data = tensor.mutable_data_ptr<double>();
  for (int64_t i = 0; i < tensor.numel(); ++i) {
    state = (1664525 * state + 1013904223) % kModulus;
    data[i] = static_cast<double>(state) / static_cast<double>(kModulus) - 0.5;
  }
  return tensor;
}

inline at::Tensor golden_input(uint64_t seed, at::IntArrayRef sizes) {
  return generated(seed, sizes) * 3;
}

inline at::Tensor golden_weight(const std::string& name, at::IntArrayRef sizes) {
  uint64_t seed = 0;
  for (size_t i = 0; i < name.size(); ++i) seed += (i + 1) * static_cast<unsigned char>(name[i]);
  auto values = generated(seed, sizes) * 0.8;
  if (sizes.size() == 1 && name.ends_with(".weight")) values += 1;
  return values;
}

// In double, and in evaluation mode. `name_of` gives the name by which a tensor's values are made.
template <class NameOf>
void fill(torch::nn::Module& module, const NameOf& name_of) {
  const at::NoGradGuard no_grad;
  module.to(at::kDouble);
  module.eval();
  std::set<void*> seen;
  for (const auto& item : module.named_parameters()) {
    auto parameter = item.value();
    if (seen.insert(parameter.unsafeGetTensorImpl()).second) {
      parameter.copy_(golden_weight(name_of(item.key()), parameter.sizes()));
    }
  }
}
inline void fill(torch::nn::Module& module) {
  fill(module, [](const std::string& name) { return name; });
}

struct Golden {
  std::vector<int64_t> sizes;
  double sum, sum_of_abs;
  std::vector<double> first;
};

inline void expect_golden(const at::Tensor& actual, const Golden& expected, double tolerance = 1e-7) {
  const auto values = actual.detach().to(at::kDouble);
  ASSERT_EQ(values.sizes(), at::IntArrayRef(expected.sizes));
  const double sums = tolerance * std::max(1.0, expected.sum_of_abs);
  EXPECT_NEAR(values.sum().item<double>(), expected.sum, sums);
  EXPECT_NEAR(values.abs().sum().item<double>(), expected.sum_of_abs, sums);
  const auto flat = values.flatten();
  for (size_t i = 0; i < expected.first.size(); ++i) {
    EXPECT_NEAR(flat[static_cast<int64_t>(i)].item<double>(), expected.first[i], tolerance) << "element " << i;
  }
}

}  // namespace perceive::models
