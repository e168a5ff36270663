// Linear maps along the length of an array, which turn n rows of keys and values into k (Wang et al. 2020, Linformer,
// arXiv 2006.04768).
//
// Shapes: B batch, n rows of C channels, k rows after the projection, H heads of D channels.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <vector>

namespace perceive::nn {

struct LengthProjection {
  at::Tensor weight;  // [k, n]; or [D, D, kernel], a convolution of a head's channels: k = (n - kernel) / stride + 1,
                      // the rows behind the last whole window are left out
  at::Tensor bias;    // [k], or [D] of a convolution; may be undefined
  std::optional<int64_t> stride;  // of a convolution, the same for all heads; default: the kernel
};

struct Windows {
  int64_t kernel, stride;  // rows of a window, and from one's begin to the next one's
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

// The largest of each channel of the heads x W^T over the rows of a window that count, [B, H, k, D] with
// k = (n - kernel) / stride + 1; zeros where none of them does. mask [B, n], true where a row counts. Heads of length n
// are never held here either.
at::Tensor max_heads(const at::Tensor& x, const at::Tensor& weight, int64_t heads, const at::Tensor& mask,
                     Windows windows);

}  // namespace perceive::nn
