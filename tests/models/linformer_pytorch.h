// Weights and inputs by rule, and expected values: section 9 of the specification of linformer-pytorch. Numbers from
// the original in tests/golden/linformer_pytorch_*.json, computed there in float32.
#pragma once

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>
#include <torch/nn/module.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

namespace perceive::models::linformer_pytorch {

// sin(0.11 j + phase) at the place j.
inline at::Tensor golden_input(at::IntArrayRef sizes, double phase = 0.5) {
  const auto options = at::TensorOptions().dtype(at::kDouble);
  int64_t count = 1;
  for (const int64_t size : sizes) count *= size;
  return at::arange(count, options).mul(0.11).add(phase).sin().view(sizes);
}

// The names of Python's state_dict in its order: a module's own before those of its children.
inline void list_state(const torch::nn::Module& module, const std::string& prefix,
                       std::vector<std::pair<std::string, at::Tensor>>& all) {
  for (const auto& item : module.named_parameters(/*recurse=*/false))
    all.emplace_back(prefix + item.key(), item.value());
  for (const auto& item : module.named_buffers(/*recurse=*/false)) all.emplace_back(prefix + item.key(), item.value());
  for (const auto& item : module.named_children()) list_state(*item.value(), prefix + item.key() + ".", all);
}
inline std::vector<std::pair<std::string, at::Tensor>> state_of(const torch::nn::Module& module) {
  std::vector<std::pair<std::string, at::Tensor>> all;
  list_state(module, "", all);
  return all;
}

// In double, and in evaluation mode. Of a shared tensor the last name counts; E and F of `no_params` get a rule of
// their own.
inline void fill(torch::nn::Module& module) {
  const at::NoGradGuard no_grad;
  module.to(at::kDouble);
  module.eval();
  double i = 0;
  for (auto& [name, tensor] : state_of(module)) {
    const auto places = at::arange(tensor.numel(), at::TensorOptions().dtype(at::kDouble));
    if (name.ends_with(".E") || name.ends_with(".F")) {
      tensor.copy_(places.mul(0.2).cos().mul(0.3).view(tensor.sizes()));
      continue;
    }
    if (!name.ends_with("inv_freq")) tensor.copy_(places.mul(0.37).add(1.3 * i).sin().mul(0.5).view(tensor.sizes()));
    ++i;
  }
}

inline nlohmann::json golden(const std::string& version) {
  std::ifstream file(PERCEIVE_ROOT "/tests/golden/linformer_pytorch_" + version + ".json");
  return nlohmann::json::parse(file);
}

inline void expect_golden(const at::Tensor& actual, const nlohmann::json& expected, double tolerance = 2e-5) {
  const auto values = actual.detach().to(at::kDouble).contiguous();
  ASSERT_EQ(values.sizes(), at::IntArrayRef(expected.at("shape").get<std::vector<int64_t>>()));
  const double l2 = expected.at("l2");
  EXPECT_NEAR(values.sum().item<double>(), expected.at("sum").get<double>(),
              tolerance * std::max(1.0, l2 * std::sqrt(static_cast<double>(values.numel()))));
  EXPECT_NEAR(values.norm().item<double>(), l2, 5 * tolerance * std::max(1.0, l2));
  const auto& first = expected.at("first");
  for (size_t i = 0; i < first.size(); ++i) {
    EXPECT_NEAR(values.flatten()[static_cast<int64_t>(i)].item<double>(), first[i].get<double>(), tolerance) << i;
  }
}

// What the gradients of the golden values start from.
inline at::Tensor golden_cotangent(const at::Tensor& output) {
  return golden_input(output.sizes(), 1.1).to(output.scalar_type());
}

}  // namespace perceive::models::linformer_pytorch
