// Products of whole matrices.
#pragma once

#include <ATen/core/Tensor.h>

namespace perceive::ops::cpu {

// Whether matmul() takes a kernel that is faster than libtorch's BLAS for a [rows, depth] times b [depth, columns].
bool outruns_blas(int64_t rows, int64_t depth, int64_t columns);

// a [rows, depth] times b [depth, columns], plus `offset` [columns] or undefined, float32. Its bits do not depend on
// the number of threads.
at::Tensor matmul(const at::Tensor& a, const at::Tensor& b, const at::Tensor& offset);

}  // namespace perceive::ops::cpu
