// Sums of metrics, in double.
#include "perceive/train/metrics.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <cmath>

#include "perceive/core/error.h"

namespace perceive::train {
namespace {

constexpr const char *kExamples = "examples", *kSum = "sum/", *kSumOfLogarithms = "sum_of_logarithms/";

}  // namespace

void Means::add(const StepOutput& output) {
  TORCH_CHECK(output.loss.defined() && output.loss.numel() == 1, "Learner::step: expected the loss to be one number");
  TORCH_CHECK(output.count > 0, "Learner::step: expected a count of 1 or more examples, got ", output.count);
  const auto weight = static_cast<double>(output.count);
  sums_["loss"] += weight * output.loss.item<double>();
  for (const auto& [name, value] : output.metrics) sums_[name] += weight * value.item<double>();
  for (const auto& [name, value] : output.logarithms) sums_of_logarithms_[name] += weight * value.item<double>();
  examples_ += output.count;
}

void Means::clear() {
  sums_.clear();
  sums_of_logarithms_.clear();
  examples_ = 0;
}

Metrics Means::values(const std::string& prefix) const {
  Metrics means;
  const auto examples = static_cast<double>(examples_);
  for (const auto& [name, sum] : sums_) means[prefix + name] = sum / examples;
  for (const auto& [name, sum] : sums_of_logarithms_) means[prefix + name] = std::exp(sum / examples);
  return means;
}

io::Tensors Means::state() const {
  io::Tensors tensors{{kExamples, at::scalar_tensor(examples_, at::kLong)}};
  for (const auto& [name, sum] : sums_) tensors[kSum + name] = at::scalar_tensor(sum, at::kDouble);
  for (const auto& [name, sum] : sums_of_logarithms_)
    tensors[kSumOfLogarithms + name] = at::scalar_tensor(sum, at::kDouble);
  return tensors;
}

void Means::restore(const io::Tensors& state) {
  clear();
  for (const auto& [name, value] : state) {
    if (name == kExamples) {
      examples_ = value.item<int64_t>();
    } else {
      auto& sums = name.starts_with(kSum) ? sums_ : sums_of_logarithms_;
      sums[name.substr(name.find('/') + 1)] = value.item<double>();
    }
  }
}

std::string text(const Metrics& metrics) {
  std::string line;
  for (const auto& [name, value] : metrics) line += fmt::format("{}{}={:.4g}", line.empty() ? "" : ", ", name, value);
  return line;
}

}  // namespace perceive::train
