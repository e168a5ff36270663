// The operators in plain ATen operations, tile by tile: for every device and dtype, and the oracle of the kernels.
#pragma once

#include <tuple>

#include "perceive/ops/operators.h"

namespace perceive::ops::formula {

// As the operators of operators.h.
std::tuple<at::Tensor, at::Tensor> attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                          const at::Tensor& mask, const AttendScalars& scalars);
std::tuple<at::Tensor, at::Tensor, at::Tensor> attend_backward(const at::Tensor& grad_out, const at::Tensor& grad_lse,
                                                               const at::Tensor& q, const at::Tensor& k,
                                                               const at::Tensor& v, const at::Tensor& mask,
                                                               const at::Tensor& out, const at::Tensor& lse,
                                                               const AttendScalars& scalars);
std::tuple<at::Tensor, at::Tensor> attend_source(const at::Tensor& q, const at::Tensor& values, at::TensorList axes,
                                                 const at::Tensor& mask, const FoldedProjection& projection,
                                                 const SourceRange& range, const AttendScalars& scalars);
SourceGradients attend_source_backward(const at::Tensor& grad_out, const at::Tensor& grad_lse, const at::Tensor& q,
                                       const at::Tensor& values, at::TensorList axes, const at::Tensor& mask,
                                       const FoldedProjection& projection, const at::Tensor& out, const at::Tensor& lse,
                                       const SourceRange& range, const AttendScalars& scalars, bool values_need_grad,
                                       bool axes_need_grad);

}  // namespace perceive::ops::formula
