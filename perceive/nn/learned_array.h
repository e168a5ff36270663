// Arrays that are learned as they are: latents and output queries.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace perceive::nn {

// [rows, channels], drawn from N(0, 0.02²) and clamped to [-2, 2] (perceiver-io 0.2.1).
at::Tensor learned_array(int64_t rows, int64_t channels);

}  // namespace perceive::nn
