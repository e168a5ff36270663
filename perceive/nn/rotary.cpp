// Rotary position embedding.
#include "perceive/nn/rotary.h"

#include <ATen/ATen.h>

namespace perceive::nn {

at::Tensor rotate(const at::Tensor& x, int64_t channels, int64_t first) {
  const auto options = x.options().dtype(at::kFloat).requires_grad(false);
  const int64_t half = (channels + 1) / 2;
  const auto frequency = at::pow(10000.0, at::arange(half, options) * 2 / static_cast<double>(channels)).reciprocal();
  const auto angle = at::outer(at::arange(first, first + x.size(2), options), frequency);
  const auto cos = angle.cos().to(x.scalar_type()), sin = angle.sin().to(x.scalar_type());
  const auto a = x.narrow(3, 0, half), b = x.narrow(3, half, half);
  const auto rest = x.narrow(3, 2 * half, x.size(3) - 2 * half);
  return at::cat({a * cos - b * sin, a * sin + b * cos, rest}, 3);
}

}  // namespace perceive::nn
