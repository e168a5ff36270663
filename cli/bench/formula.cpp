// The plain formula.
#include "cli/bench/formula.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <cmath>

#include "perceive/core/memory.h"

namespace perceive::cli::bench {

constexpr double kShareOfMemory = 0.125;

at::Tensor formula(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
  const auto scores = q.matmul(k.transpose(2, 3)) * (1.0 / std::sqrt(static_cast<double>(q.size(3))));
  return scores.softmax(-1).matmul(v);
}

std::string formula_objection(const Sizes& sizes, int64_t element_bytes) {
  const double bytes = static_cast<double>(sizes.batch * sizes.heads) * static_cast<double>(sizes.latents) *
                       static_cast<double>(sizes.keys) * static_cast<double>(element_bytes);
  const double available = core::available_memory();
  if (bytes <= kShareOfMemory * available) return "";
  return fmt::format("its matrix of {} is more than an eighth of the {} of free memory", core::readable_bytes(bytes),
                     core::readable_bytes(available));
}

}  // namespace perceive::cli::bench
