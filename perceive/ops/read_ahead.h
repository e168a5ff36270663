// The chunks of a source one after the other, the next one read while this one is worked on.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>

#include "perceive/ops/source.h"

namespace perceive::ops {

// body(values, first) for each chunk in order, on the calling thread; values [B, count, C] are those of the keys first,
// first + 1, … and last until body returns. `read` runs on a second thread, at most one chunk ahead, which has ended
// when this returns or throws. What `read` throws comes out of here, after the chunks before it; a chunk of another
// shape than asked for is a c10::Error.
void for_chunks(const Source& source, const std::function<void(const at::Tensor& values, int64_t first)>& body);

}  // namespace perceive::ops
