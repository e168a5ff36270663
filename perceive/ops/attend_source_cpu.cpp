// attend_source on the kernels of kernels/cpu, by the plan that is cheapest for the call. float64 and gradients of
// position axes take the formula, as does a causal call whose values are not all finite.
#include <ATen/ATen.h>
#include <torch/library.h>

#include "perceive/ops/cpu/finite.h"
#include "perceive/ops/cpu/source_keys.h"
#include "perceive/ops/cpu/walk.h"
#include "perceive/ops/formula/formula.h"
#include "perceive/ops/registration.h"

namespace perceive::ops {
namespace {

// A call by one plan.
struct Call {
  cpu::Shape shape;
  cpu::SourceCall source;
  cpu::Absorbed absorbed;
  cpu::Plan plan;

  Call(const Call&) = delete;  // parts point to one another
  Call(SourcePlan chosen, const at::Tensor& q, const at::Tensor& values, at::TensorList axes,
       const FoldedProjection& projection, const SourceRange& range, const AttendScalars& scalars)
      : shape{.batch = q.size(0),
              .heads = q.size(1),
              .queries = q.size(2),
              .keys = values.size(1),
              .key_width = q.size(3),
              .value_width = projection.value_weight.size(0) / projection.heads,
              .key_heads = projection.heads,
              .heads_together = true,
              .range = range,
              .scalars = scalars} {
    const bool both = chosen == SourcePlan::absorb || chosen == SourcePlan::separable;
    const bool absorb_key = both || chosen == SourcePlan::absorb_keys;
    const bool absorb_value = both || chosen == SourcePlan::absorb_values;
    const int64_t channels = values.size(2);
    const int64_t outputs = projection.key_weight.size(0) + projection.value_weight.size(0);
    source.values = values;
    source.first = range.first;
    source.normalize = projection.normalize;
    source.eps = static_cast<float>(projection.norm_eps);
    if (!both) {
      source.projected.emplace(cpu::Form::projected, channels, axes, source.normalize, range.length, outputs);
    }
    if (absorb_key || absorb_value) {
      source.absorbed.emplace(chosen == SourcePlan::separable ? cpu::Form::sparse : cpu::Form::dense, channels, axes,
                              source.normalize, range.length, outputs);
    }
    source.key.emplace(absorb_key ? *source.absorbed : *source.projected, projection.key_weight, projection.key_bias,
                       projection.heads);
    source.value.emplace(absorb_value ? *source.absorbed : *source.projected, projection.value_weight,
                         projection.value_bias, projection.heads);
    if (absorb_key) absorbed.key = &*source.key;
    if (absorb_value) absorbed.value = &*source.value;
    plan = cpu::make_plan(shape, kernels::tile_kernels(), cpu::CutBy::keys, lifting(chosen));
  }

 private:
  // Every part lifts its queries and lowers its sums: parts must be long against that.
  int64_t lifting(SourcePlan chosen) const {
    int64_t keys = 1;
    const int64_t work_a_key = chosen == SourcePlan::separable ? 32 : shape.key_width + shape.value_width;
    for (const auto* side : {absorbed.key, absorbed.value}) {
      if (side != nullptr) keys += 4 * side->width * side->features.count / work_a_key;
    }
    return keys;
  }
};

// Within a parallel region, where libtorch's own threads cannot change the bits of a sum.
template <class... Arguments>
std::unique_ptr<Call> make_call(SourcePlan plan, const at::Tensor& q, const Arguments&... arguments) {
  std::unique_ptr<Call> call;
  run_parts(1, q.device(), [&](int64_t) { call = std::make_unique<Call>(plan, q, arguments...); });
  return call;
}

bool by_formula(const at::Tensor& q, const at::Tensor& values, at::TensorList axes, const AttendScalars& scalars) {
  if (q.scalar_type() == at::kDouble || q.numel() == 0 || values.size(1) == 0) return true;
  if (!scalars.causal) return false;
  return !cpu::all_finite(values) ||
         !std::all_of(axes.begin(), axes.end(), [](const at::Tensor& axis) { return cpu::all_finite(axis); });
}

SourceWork work_of(const at::Tensor& q, const at::Tensor& values, at::TensorList axes,
                   const FoldedProjection& projection, const SourceRange& range) {
  return source_work(q, range.length, values.size(2), axes, projection);
}

std::tuple<at::Tensor, at::Tensor> attend_source_cpu(const at::Tensor& q, const at::Tensor& values, at::TensorList axes,
                                                     const at::Tensor& mask, const FoldedProjection& projection,
                                                     const SourceRange& range, const AttendScalars& scalars) {
  const BelowEverything below;
  const auto plan = resolve_plan(projection.plan, work_of(q, values, axes, projection, range));
  if (by_formula(q, values, axes, scalars)) {
    return formula::attend_source(q, values, axes, mask, projection, range, scalars);
  }
  const auto made = make_call(plan, q, values, axes, projection, range, scalars);
  const Call& call = *made;
  return cpu::forward(call.shape, call.plan, q, mask_as_4d(mask), call.absorbed,
                      [&] { return std::make_unique<cpu::SourceReader>(call.shape, call.source); });
}

SourceGradients attend_source_backward_cpu(const at::Tensor& grad_out, const at::Tensor& grad_lse, const at::Tensor& q,
                                           const at::Tensor& values, at::TensorList axes, const at::Tensor& mask,
                                           const FoldedProjection& projection, const at::Tensor& out,
                                           const at::Tensor& lse, const SourceRange& range,
                                           const AttendScalars& scalars, bool values_need_grad, bool axes_need_grad) {
  const BelowEverything below;
  if (axes_need_grad || by_formula(q, values, axes, scalars)) {
    return formula::attend_source_backward(grad_out, grad_lse, q, values, axes, mask, projection, out, lse, range,
                                           scalars, values_need_grad, axes_need_grad);
  }
  const auto work = backward_work(work_of(q, values, axes, projection, range), values_need_grad);
  const auto made = make_call(resolve_plan(projection.plan, work), q, values, axes, projection, range, scalars);
  const Call& call = *made;
  at::Tensor grad_values;
  if (values_need_grad) grad_values = at::zeros(values.sizes(), values.options().dtype(at::kFloat));
  std::vector<std::shared_ptr<cpu::SourceGradients>> groups(cpu::groups_of(call.plan).size());
  const auto walked = cpu::backward(
      call.shape, call.plan, {grad_out, grad_lse, q, mask_as_4d(mask), out, lse, values_need_grad}, call.absorbed,
      [&](int64_t group) -> cpu::BackwardGroup {
        auto reader = std::make_shared<cpu::SourceReader>(call.shape, call.source);
        groups[group] = std::make_shared<cpu::SourceGradients>(call.shape, call.source, *reader, grad_values);
        return {std::move(reader), groups[group]};
      });
  const auto nothing = [](const at::Tensor& t) { return at::empty({0}, t.options()); };
  // In the order of the groups.
  const auto side = [&](const cpu::Factors& factors, const at::Tensor& absorbed, auto&& of_group,
                        const at::Tensor& weight, const at::Tensor& bias, at::Tensor& grad_weight,
                        at::Tensor& grad_bias) {
    auto rows = absorbed;
    if (!rows.defined()) {
      rows = of_group(*groups[0]);
      for (size_t g = 1; g < groups.size(); ++g) rows.add_(of_group(*groups[g]));
    }
    std::tie(grad_weight, grad_bias) = factors.gradient(rows);
    grad_weight = grad_weight.to(weight.scalar_type());
    grad_bias = bias.defined() ? grad_bias.to(bias.scalar_type()) : nothing(q);
  };
  SourceGradients result;
  result.q = walked.q;
  run_parts(1, q.device(), [&](int64_t) {
    side(
        *call.source.key, walked.key, [](const auto& g) { return g.key(); }, projection.key_weight, projection.key_bias,
        result.key_weight, result.key_bias);
    side(
        *call.source.value, walked.value, [](const auto& g) { return g.value(); }, projection.value_weight,
        projection.value_bias, result.value_weight, result.value_bias);
  });
  result.values = values_need_grad ? grad_values.to(values.scalar_type()) : nothing(q);
  for (size_t a = 0; a < axes.size(); ++a) result.axes.push_back(nothing(q));
  return result;
}

}  // namespace

TORCH_LIBRARY_IMPL(perceive, CPU, library) {
  library.impl("attend_source", TORCH_FN(AttendSourceKernel<attend_source_cpu>::call));
  library.impl("attend_source_backward", TORCH_FN(AttendSourceBackwardKernel<attend_source_backward_cpu>::call));
}

}  // namespace perceive::ops
