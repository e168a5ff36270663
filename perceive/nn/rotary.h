// Rotary position embedding (RoFormer, Su et al. 2021, arXiv 2104.09864), in the arrangement of GPT-NeoX.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace perceive::nn {

// Turns the first `channels` of each head of x [B, H, N, D] by angles that grow with the position first, first + 1, …:
// channel j < channels/2 and channel j + channels/2 are a pair that turns by position · 10000^(-2j/channels). The
// tables are computed in float32 and rounded to the dtype of x. An odd `channels` turns one channel more, as
// flash-attn does. The rest of each head stays as it is.
at::Tensor rotate(const at::Tensor& x, int64_t channels, int64_t first = 0);

}  // namespace perceive::nn
