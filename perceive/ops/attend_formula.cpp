// The operators in plain ATen operations, tile by tile: for every device, and the oracle of any kernel.
#include <ATen/ATen.h>
#include <torch/library.h>

#include "perceive/ops/formula/formula.h"
#include "perceive/ops/formula/projected_keys.h"
#include "perceive/ops/formula/walk.h"
#include "perceive/ops/registration.h"

namespace perceive::ops {
namespace formula {
namespace {

struct Given {
  Problem problem;
  GivenKeys keys;
  Split split;

  Given(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& mask,
        const AttendScalars& scalars)
      : problem{q.size(1), q.size(2), 0, k.size(2), scalars, mask_as_4d(mask)},
        keys(k, v, accumulation_type(q)),
        split(cut_work({q.size(0), q.size(1), q.size(2), k.size(2), k.size(1) * (k.size(3) + v.size(3))}, scalars)) {}
};

}  // namespace

std::tuple<at::Tensor, at::Tensor> attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                          const at::Tensor& mask, const AttendScalars& scalars) {
  const Given given(q, k, v, mask, scalars);
  return forward(q, given.keys, given.problem, given.split, v.size(3));
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> attend_backward(const at::Tensor& grad_out, const at::Tensor& grad_lse,
                                                               const at::Tensor& q, const at::Tensor& k,
                                                               const at::Tensor& v, const at::Tensor& mask,
                                                               const at::Tensor& out, const at::Tensor& lse,
                                                               const AttendScalars& scalars) {
  const Given given(q, k, v, mask, scalars);
  const auto options = q.options().dtype(accumulation_type(q));
  // Parts with different queries meet at the same keys, so each such part sums into tensors of its own.
  std::vector<at::Tensor> grad_k, grad_v;
  for (size_t i = 0; i < given.split.query_parts.size(); ++i) {
    grad_k.push_back(at::zeros(k.sizes(), options));
    grad_v.push_back(at::zeros(v.sizes(), options));
  }
  std::vector<std::unique_ptr<KeyGradients>> gradients;
  for (size_t i = 0; i < given.split.size(); ++i) {
    const size_t query_part = given.split.part(i).query_part;
    gradients.push_back(std::make_unique<GivenKeyGradients>(grad_k[query_part], grad_v[query_part]));
  }
  const auto grad_q = backward(grad_out, grad_lse, q, given.keys, out, lse, given.problem, given.split, gradients);
  for (size_t i = 1; i < grad_k.size(); ++i) {
    grad_k[0].add_(grad_k[i]);
    grad_v[0].add_(grad_v[i]);
  }
  return {grad_q, grad_k[0].to(k.scalar_type()), grad_v[0].to(v.scalar_type())};
}

namespace {

struct Projected {
  Problem problem;
  ProjectedKeys keys;
  Split split;

  Projected(const at::Tensor& q, const at::Tensor& values, at::TensorList axes, const at::Tensor& mask,
            const FoldedProjection& projection, const SourceRange& range, const AttendScalars& scalars,
            bool whole_items = false)
      : problem{q.size(1), q.size(2), range.first, range.length, scalars, mask_as_4d(mask)},
        keys(values, axes, mask, projection, range, q.size(3), accumulation_type(q)),
        split(cut_work({q.size(0), q.size(1), q.size(2), values.size(1),
                        projection.key_weight.size(0) + projection.value_weight.size(0)},
                       scalars, {.whole_items = whole_items, .whole_queries = true})) {}
};

}  // namespace

std::tuple<at::Tensor, at::Tensor> attend_source(const at::Tensor& q, const at::Tensor& values, at::TensorList axes,
                                                 const at::Tensor& mask, const FoldedProjection& projection,
                                                 const SourceRange& range, const AttendScalars& scalars) {
  const BelowEverything below;
  const Projected projected(q, values, axes, mask, projection, range, scalars);
  return forward(q, projected.keys, projected.problem, projected.split,
                 projection.value_weight.size(0) / projection.heads);
}

SourceGradients attend_source_backward(const at::Tensor& grad_out, const at::Tensor& grad_lse, const at::Tensor& q,
                                       const at::Tensor& values, at::TensorList axes, const at::Tensor& mask,
                                       const FoldedProjection& projection, const at::Tensor& out, const at::Tensor& lse,
                                       const SourceRange& range, const AttendScalars& scalars, bool values_need_grad,
                                       bool axes_need_grad) {
  const BelowEverything below;
  const Projected projected(q, values, axes, mask, projection, range, scalars, axes_need_grad);
  const auto nothing = [](const at::Tensor& t) { return at::empty({0}, t.options()); };
  SourceGradients result;
  if (values_need_grad) result.values = at::zeros(values.sizes(), values.options());
  std::vector<std::unique_ptr<KeyGradients>> gradients;
  for (size_t i = 0; i < projected.split.size(); ++i) {
    gradients.push_back(std::make_unique<ProjectedKeyGradients>(projected.keys, result.values, axes_need_grad));
  }
  result.q = backward(grad_out, grad_lse, q, projected.keys, out, lse, projected.problem, projected.split, gradients);
  // The last products also belong to the parts; what is left to do is to add, in the order of the parts.
  std::vector<at::Tensor> weights(gradients.size());
  for_parts(projected.split, q.device(),
            [&](size_t i) { weights[i] = static_cast<const ProjectedKeyGradients&>(*gradients[i]).weight(); });
  const auto& first = static_cast<const ProjectedKeyGradients&>(*gradients[0]);
  const auto weight = weights[0], all_bias = first.bias();
  for (size_t i = 1; i < gradients.size(); ++i) {
    const auto& part = static_cast<const ProjectedKeyGradients&>(*gradients[i]);
    weight.add_(weights[i]);
    all_bias.add_(part.bias());
    for (size_t a = 0; a < part.axes().size(); ++a) first.axes()[a].add_(part.axes()[a]);
  }
  const int64_t key_rows = projection.key_weight.size(0), value_rows = projection.value_weight.size(0);
  result.key_weight = weight.narrow(0, 0, key_rows).to(projection.key_weight.scalar_type(), false, true);
  result.value_weight = weight.narrow(0, key_rows, value_rows).to(projection.value_weight.scalar_type(), false, true);
  const auto bias = [&](const at::Tensor& given, int64_t begin, int64_t rows) {
    return given.defined() ? all_bias.narrow(0, begin, rows).to(given.scalar_type(), false, true) : nothing(q);
  };
  result.key_bias = bias(projection.key_bias, 0, key_rows);
  result.value_bias = bias(projection.value_bias, key_rows, value_rows);
  for (size_t a = 0; a < axes.size(); ++a) {
    result.axes.push_back(axes_need_grad ? first.axes()[a].to(axes[a].scalar_type()) : nothing(q));
  }
  if (!result.values.defined()) result.values = nothing(q);
  return result;
}

}  // namespace formula

TORCH_LIBRARY_IMPL(perceive, CompositeExplicitAutograd, library) {
  library.impl("attend", TORCH_FN(AttendKernel<formula::attend>::call));
  library.impl("attend_backward", TORCH_FN(AttendBackwardKernel<formula::attend_backward>::call));
  library.impl("attend_source", TORCH_FN(AttendSourceKernel<formula::attend_source>::call));
  library.impl("attend_source_backward", TORCH_FN(AttendSourceBackwardKernel<formula::attend_source_backward>::call));
}

}  // namespace perceive::ops
