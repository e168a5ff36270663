// Shapes and dtypes of the results, without any numbers.
#include <ATen/ATen.h>
#include <torch/library.h>

#include "perceive/ops/registration.h"

namespace perceive::ops {
namespace {

std::tuple<at::Tensor, at::Tensor> results(const at::Tensor& q, int64_t value_width) {
  const auto lse = at::empty({q.size(0), q.size(1), q.size(2)}, q.options().dtype(accumulation_type(q)));
  return {at::empty({q.size(0), q.size(1), q.size(2), value_width}, q.options()), lse};
}

std::tuple<at::Tensor, at::Tensor> attend_meta(const at::Tensor& q, const at::Tensor&, const at::Tensor& v,
                                               const at::Tensor&, const AttendScalars&) {
  return results(q, v.size(3));
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> attend_backward_meta(const at::Tensor&, const at::Tensor&,
                                                                    const at::Tensor& q, const at::Tensor& k,
                                                                    const at::Tensor& v, const at::Tensor&,
                                                                    const at::Tensor&, const at::Tensor&,
                                                                    const AttendScalars&) {
  return {at::empty(q.sizes(), q.options()), at::empty(k.sizes(), k.options()), at::empty(v.sizes(), v.options())};
}

std::tuple<at::Tensor, at::Tensor> attend_source_meta(const at::Tensor& q, const at::Tensor&, at::TensorList,
                                                      const at::Tensor&, const FoldedProjection& projection,
                                                      const SourceRange&, const AttendScalars&) {
  return results(q, projection.value_weight.size(0) / projection.heads);
}

at::Tensor like(const at::Tensor& t, const at::Tensor& fallback) {
  return t.defined() ? at::empty(t.sizes(), t.options()) : at::empty({0}, fallback.options());
}

SourceGradients attend_source_backward_meta(const at::Tensor&, const at::Tensor&, const at::Tensor& q,
                                            const at::Tensor& values, at::TensorList axes, const at::Tensor&,
                                            const FoldedProjection& projection, const at::Tensor&, const at::Tensor&,
                                            const SourceRange&, const AttendScalars&, bool values_need_grad,
                                            bool axes_need_grad) {
  SourceGradients g;
  g.q = like(q, q);
  g.values = like(values_need_grad ? values : at::Tensor(), q);
  for (const auto& axis : axes) g.axes.push_back(like(axes_need_grad ? axis : at::Tensor(), q));
  g.key_weight = like(projection.key_weight, q);
  g.key_bias = like(projection.key_bias, q);
  g.value_weight = like(projection.value_weight, q);
  g.value_bias = like(projection.value_bias, q);
  return g;
}

}  // namespace

TORCH_LIBRARY_IMPL(perceive, Meta, library) {
  library.impl("attend", TORCH_FN(AttendKernel<attend_meta>::call));
  library.impl("attend_backward", TORCH_FN(AttendBackwardKernel<attend_backward_meta>::call));
  library.impl("attend_source", TORCH_FN(AttendSourceKernel<attend_source_meta>::call));
  library.impl("attend_source_backward", TORCH_FN(AttendSourceBackwardKernel<attend_source_backward_meta>::call));
}

}  // namespace perceive::ops
