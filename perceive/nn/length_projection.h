// Linear maps along the length of an array, which turn n rows of keys and values into k (Wang et al. 2020, Linformer,
// arXiv 2006.04768).
//
// Shapes: B batch, n rows of C channels, k rows after the projection, H heads of D channels.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace perceive::nn {

struct LengthProjection {
  at::Tensor weight;  // [k, n]; or [D, D, s], a convolution of a head's channels over steps of s rows: k = n / s, the
                      // rows behind the last whole step are left out
  at::Tensor bias;    // [k], or [D] of a convolution; may be undefined
};

// weight [k, n] times each sample of x [B, n, C]: [B, k, C]. No copy is made of either, and the gradient of `weight` is
// summed in place. Second derivatives are refused.
at::Tensor project_length(const at::Tensor& weight, const at::Tensor& x);

// The heads x W^T of x [B, n, C] with W = `weight` [H·D, C], projected along the length: [B, H, k, D]. `by` holds one
// projection for all heads, or one of the same sizes for each. Heads of length n are never held: either the length is
// projected first, E (x W^T) = (E x) W^T, or the result is summed over tiles of the length, which the backward pass
// computes again; whichever takes less arithmetic.
at::Tensor project_heads(const at::Tensor& x, const at::Tensor& weight, int64_t heads,
                         const std::vector<LengthProjection>& by);

}  // namespace perceive::nn
