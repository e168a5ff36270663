// Linear layers.
#pragma once

#include <ATen/core/Tensor.h>

namespace perceive::ops {

// at::linear: x [..., in] times weight [out, in] transposed, plus bias [out] or undefined. Large products of float32
// run on the kernels where those are faster than libtorch's BLAS (kernels/tile.h, TileKernels::matmul), with errors no
// larger, and the same bits for any number of threads; all others, and such under autocast, are libtorch's.
at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias = {});

}  // namespace perceive::ops
