// Parts of a call, and the threads that run them.
#include "perceive/ops/parts.h"

#include <ATen/Parallel.h>

namespace perceive::ops {
std::vector<Range> cut(int64_t size, int64_t parts, int64_t step) {
  const int64_t steps = std::max<int64_t>(1, (size + step - 1) / step);
  const int64_t each = (steps + parts - 1) / parts * step;
  std::vector<Range> ranges;
  for_tiles({0, size}, std::max<int64_t>(each, 1), [&](const Range& range) { ranges.push_back(range); });
  if (ranges.empty()) ranges.push_back({0, 0});
  return ranges;
}

void run_parts(int64_t count, at::Device device, const std::function<void(int64_t)>& body) {
  const auto below = [&](int64_t begin, int64_t end) {
    const BelowEverything guard;
    for (int64_t i = begin; i < std::min(end, count); ++i) body(i);
  };
  if (device.is_cpu()) {
    // Always inside a parallel region, where there are threads: ATen's and MKL's own threads, which may change the bits
    // of a sum, then stay out. A range of one would be run outside.
    at::parallel_for(0, std::max<int64_t>(count, 2), 1, below);
  } else {
    below(0, count);
  }
}

}  // namespace perceive::ops
