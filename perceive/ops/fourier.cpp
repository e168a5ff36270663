// Fourier position features, one table an axis.
#include "perceive/ops/fourier.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/linspace.h>
#include <c10/util/Exception.h>

#include <cmath>

namespace perceive::ops {

Positions fourier_positions(const FourierOptions& options) {
  const auto dims = static_cast<int64_t>(options.grid.size());
  TORCH_CHECK(dims > 0, "fourier_positions: the grid has no axis");
  TORCH_CHECK(options.bands > 0, "fourier_positions: bands must be at least 1; got ", options.bands);
  TORCH_CHECK(options.max_frequency.empty() || static_cast<int64_t>(options.max_frequency.size()) == dims,
              "fourier_positions: one max_frequency an axis; got ", options.max_frequency.size(), " for ", dims);
  const int64_t bands = options.bands, width = 2 * bands + 1;
  Positions positions;
  positions.order.resize(dims * width);
  for (int64_t a = 0; a < dims; ++a) {
    const int64_t size = options.grid[a];
    TORCH_CHECK(size > 0, "fourier_positions: axis ", a, " of the grid has size ", size);
    const double highest = options.max_frequency.empty() ? static_cast<double>(size) : options.max_frequency[a];
    const auto coordinate = at::linspace(-1.0, 1.0, size, at::kFloat).unsqueeze(1);
    const auto frequencies = at::linspace(1.0, highest / 2.0, bands, at::kFloat);
    // The product first, then pi: the reference's float32 steps, seen in the last digits.
    const auto angle = coordinate * frequencies * M_PI;
    positions.axes.push_back(at::cat({coordinate, angle.sin(), angle.cos()}, 1));
    positions.order[a] = a * width;
    for (int64_t k = 0; k < bands; ++k) {
      positions.order[dims + a * bands + k] = a * width + 1 + k;
      positions.order[dims + (dims + a) * bands + k] = a * width + 1 + bands + k;
    }
  }
  return positions;
}

}  // namespace perceive::ops
