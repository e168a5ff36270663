// Cutting a call into parts, and running them on libtorch's threads.
//
// Parts follow from sizes alone and are merged in their order: results have the same bits for any number of threads.
#pragma once

#include <ATen/core/LegacyTypeDispatch.h>
#include <c10/core/Device.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <vector>

namespace perceive::ops {

// A half-open range.
struct Range {
  int64_t begin = 0, end = 0;
  int64_t size() const { return end - begin; }
};

// [begin, end) cut into pieces of at most `step`, each handed to `body`.
template <class Body>
void for_tiles(const Range& range, int64_t step, Body&& body) {
  for (int64_t begin = range.begin; begin < range.end; begin += step) {
    body(Range{begin, std::min(begin + step, range.end)});
  }
}

// Parts that a call is cut into: enough for any machine these paths are meant for; each holds partial results.
inline constexpr int64_t kParts = 16;

// [0, size) in at most `parts` ranges of whole steps; one empty range where size is 0.
std::vector<Range> cut(int64_t size, int64_t parts, int64_t step);

// Without these, an operator called from a pool thread would record gradients, and one called under autocast, or from a
// backward pass within it, would round its tables to half precision.
struct BelowEverything {
  at::AutoDispatchBelowADInplaceOrView no_autograd;
  c10::impl::ExcludeDispatchKeyGuard no_autocast{c10::autocast_dispatch_keyset};
};

// body(i) for i in [0, count), on libtorch's threads where the device is a CPU; below autograd and autocast.
void run_parts(int64_t count, at::Device device, const std::function<void(int64_t)>& body);

}  // namespace perceive::ops
