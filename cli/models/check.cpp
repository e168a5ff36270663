// Results against expected ones.
#include "cli/models/check.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

namespace perceive::cli {
namespace {

struct Line {
  std::string text;
  bool passed;
};

Line compare(const at::Tensor& actual, const at::Tensor& expected, double relative, double absolute) {
  if (!actual.defined()) return {"missing", false};
  if (actual.sizes() != expected.sizes()) {
    return {fmt::format("expected {}, got {}", shape_text(expected.sizes()), shape_text(actual.sizes())), false};
  }
  if (expected.numel() == 0) return {"no elements", true};
  const auto a = actual.to(at::kDouble), b = expected.to(at::kDouble);
  const auto same = a.eq(b).logical_or(a.isnan().logical_and(b.isnan()));
  const auto difference = at::where(same, at::zeros({}, at::kDouble), (a - b).abs());
  const auto allowed = absolute + relative * b.abs();
  const auto passes = same.logical_or(difference.le(allowed));
  const int64_t worst = difference.nan_to_num(INFINITY).flatten().argmax().item<int64_t>();
  const double largest = difference.flatten()[worst].item<double>();
  const auto wrong = expected.numel() - passes.sum().item<int64_t>();
  auto text = fmt::format("largest difference {:.3g} at {} of {} (expected {:.8g}, got {:.8g})", largest, worst,
                          expected.numel(), b.flatten()[worst].item<double>(), a.flatten()[worst].item<double>());
  if (wrong > 0) text += fmt::format("; {} beyond {:.1g} + {:.1g} |expected|", wrong, absolute, relative);
  return {text, wrong == 0};
}

}  // namespace

std::string shape_text(at::IntArrayRef sizes) {
  return fmt::format("[{}]", fmt::join(sizes, ", "));
}

CheckReport check_tensors(const io::Tensors& actual, const io::Tensors& expected, const Tolerances& tolerances) {
  CheckReport report{.passed = true};
  size_t width = 0, failed = 0;
  for (const auto& [name, tensor] : expected) width = std::max(width, name.size());
  for (const auto& [name, tensor] : expected) {
    const auto found = actual.find(name);
    const double factor = name.starts_with("inputs.") || name.starts_with("weights.") ? tolerances.gradients : 1.0;
    const auto line = compare(found == actual.end() ? at::Tensor() : found->second, tensor,
                              factor * tolerances.relative, factor * tolerances.absolute);
    report.text += fmt::format("{:<{}}  {}  {}\n", name, width, line.passed ? "ok  " : "FAIL", line.text);
    failed += line.passed ? 0 : 1;
  }
  report.passed = failed == 0 && !expected.empty();
  report.text += fmt::format("{} of {} tensors agree\n", expected.size() - failed, expected.size());
  return report;
}

}  // namespace perceive::cli
