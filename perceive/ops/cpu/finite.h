// Whether all numbers of a tensor are finite, without a mask of its size.
#pragma once

#include <ATen/core/Tensor.h>

namespace perceive::ops::cpu {

bool all_finite(const at::Tensor& t);

}  // namespace perceive::ops::cpu
