// From the flat argument lists of the schemas to the grouped arguments of operators.h, written once for all keys:
// `library.impl("attend", TORCH_FN(AttendKernel<attend_cpu>::call))`.
#pragma once

#include <ATen/core/Tensor.h>

#include "perceive/ops/operators.h"
#include "perceive/ops/plan.h"

namespace perceive::ops {

using OptionalTensor = std::optional<at::Tensor>;
using SourceGradientTuple =
    std::tuple<at::Tensor, at::Tensor, std::vector<at::Tensor>, at::Tensor, at::Tensor, at::Tensor, at::Tensor>;

inline at::Tensor or_undefined(const OptionalTensor& tensor) {
  return tensor.value_or(at::Tensor());
}
inline OptionalTensor or_nullopt(const at::Tensor& tensor) {
  return tensor.defined() ? OptionalTensor(tensor) : std::nullopt;
}

template <auto kernel>
struct AttendKernel {
  static std::tuple<at::Tensor, at::Tensor> call(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                                 const OptionalTensor& mask, double scale, bool causal, double dropout,
                                                 int64_t seed, int64_t query_tile, int64_t key_tile) {
    const AttendScalars scalars{scale, causal, dropout, seed, query_tile, key_tile};
    check_attend(q, k, v, or_undefined(mask), scalars);
    return kernel(q, k, v, or_undefined(mask), scalars);
  }
};

template <auto kernel>
struct AttendBackwardKernel {
  static std::tuple<at::Tensor, at::Tensor, at::Tensor> call(const at::Tensor& grad_out, const OptionalTensor& grad_lse,
                                                             const at::Tensor& q, const at::Tensor& k,
                                                             const at::Tensor& v, const OptionalTensor& mask,
                                                             const at::Tensor& out, const at::Tensor& lse, double scale,
                                                             bool causal, double dropout, int64_t seed,
                                                             int64_t query_tile, int64_t key_tile) {
    const AttendScalars scalars{scale, causal, dropout, seed, query_tile, key_tile};
    check_attend(q, k, v, or_undefined(mask), scalars);
    check_gradients("attend_backward", q, v.size(3), out, lse, grad_out, or_undefined(grad_lse));
    return kernel(grad_out, or_undefined(grad_lse), q, k, v, or_undefined(mask), out, lse, scalars);
  }
};

template <auto kernel>
struct AttendSourceKernel {
  static std::tuple<at::Tensor, at::Tensor> call(const at::Tensor& q, const at::Tensor& values, at::TensorList axes,
                                                 const OptionalTensor& mask, const at::Tensor& key_weight,
                                                 const OptionalTensor& key_bias, const at::Tensor& value_weight,
                                                 const OptionalTensor& value_bias, bool normalize, double norm_eps,
                                                 int64_t heads, std::string_view plan, int64_t first, int64_t length,
                                                 double scale, bool causal, double dropout, int64_t seed,
                                                 int64_t query_tile, int64_t key_tile) {
    const AttendScalars scalars{scale, causal, dropout, seed, query_tile, key_tile};
    const FoldedProjection projection{
        key_weight, or_undefined(key_bias), value_weight, or_undefined(value_bias), normalize, norm_eps,
        heads,      plan_of(plan)};
    const SourceRange range{first, length};
    check_attend_source(q, values, axes, or_undefined(mask), projection, range, scalars);
    return kernel(q, values, axes, or_undefined(mask), projection, range, scalars);
  }
};

template <auto kernel>
struct AttendSourceBackwardKernel {
  static SourceGradientTuple call(const at::Tensor& grad_out, const OptionalTensor& grad_lse, const at::Tensor& q,
                                  const at::Tensor& values, at::TensorList axes, const OptionalTensor& mask,
                                  const at::Tensor& key_weight, const OptionalTensor& key_bias,
                                  const at::Tensor& value_weight, const OptionalTensor& value_bias,
                                  const at::Tensor& out, const at::Tensor& lse, bool normalize, double norm_eps,
                                  int64_t heads, std::string_view plan, int64_t first, int64_t length, double scale,
                                  bool causal, double dropout, int64_t seed, int64_t query_tile, int64_t key_tile,
                                  bool values_need_grad, bool axes_need_grad) {
    const AttendScalars scalars{scale, causal, dropout, seed, query_tile, key_tile};
    const FoldedProjection projection{
        key_weight, or_undefined(key_bias), value_weight, or_undefined(value_bias), normalize, norm_eps,
        heads,      plan_of(plan)};
    const SourceRange range{first, length};
    check_attend_source(q, values, axes, or_undefined(mask), projection, range, scalars);
    check_gradients("attend_source_backward", q, value_weight.size(0) / heads, out, lse, grad_out,
                    or_undefined(grad_lse));
    SourceGradients g = kernel(grad_out, or_undefined(grad_lse), q, values, axes, or_undefined(mask), projection, out,
                               lse, range, scalars, values_need_grad, axes_need_grad);
    return {g.q, g.values, std::move(g.axes), g.key_weight, g.key_bias, g.value_weight, g.value_bias};
  }
};

}  // namespace perceive::ops
