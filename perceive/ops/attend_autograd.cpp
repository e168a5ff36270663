// The derivatives of the operators: each forward saves what its backward operator recomputes from.
#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <algorithm>

#include "perceive/ops/registration.h"

namespace perceive::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

at::Tensor zeros_unless_defined(const at::Tensor& gradient, const at::Tensor& like) {
  return gradient.defined() ? gradient : at::zeros_like(like);
}

class AttendFunction : public torch::autograd::Function<AttendFunction> {
 public:
  static variable_list forward(AutogradContext* context, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                               const OptionalTensor& mask, const AttendScalars& scalars) {
    at::AutoDispatchBelowADInplaceOrView below;
    auto [out, lse] = call_attend(q, k, v, or_undefined(mask), scalars);
    context->save_for_backward({q, k, v, or_undefined(mask), out, lse});
    context->saved_data["options"] = pack(scalars);
    context->set_materialize_grads(false);
    return {out, lse};
  }

  static variable_list backward(AutogradContext* context, const variable_list& grads) {
    const auto saved = context->get_saved_variables();
    const auto scalars = unpack(context->saved_data["options"]);
    auto [grad_q, grad_k, grad_v] = call_attend_backward(zeros_unless_defined(grads[0], saved[4]), grads[1], saved[0],
                                                         saved[1], saved[2], saved[3], saved[4], saved[5], scalars);
    return {grad_q, grad_k, grad_v, {}, {}};
  }

  static c10::IValue pack(const AttendScalars& s) {
    return std::make_tuple(s.scale, s.causal, s.dropout, s.seed, s.query_tile, s.key_tile);
  }

  static AttendScalars unpack(const c10::IValue& packed) {
    const auto e = packed.toTupleRef().elements().vec();
    return {e[0].toDouble(), e[1].toBool(), e[2].toDouble(), e[3].toInt(), e[4].toInt(), e[5].toInt()};
  }
};

class AttendSourceFunction : public torch::autograd::Function<AttendSourceFunction> {
 public:
  static variable_list forward(AutogradContext* context, const at::Tensor& q, const at::Tensor& values,
                               const at::Tensor& key_weight, const OptionalTensor& key_bias,
                               const at::Tensor& value_weight, const OptionalTensor& value_bias, at::TensorList axes,
                               const OptionalTensor& mask, bool normalize, double norm_eps, int64_t heads,
                               SourcePlan plan, const SourceRange& range, const AttendScalars& scalars) {
    at::AutoDispatchBelowADInplaceOrView below;
    const FoldedProjection projection{
        key_weight, or_undefined(key_bias), value_weight, or_undefined(value_bias), normalize, norm_eps, heads, plan};
    auto [out, lse] = call_attend_source(q, values, axes, or_undefined(mask), projection, range, scalars);
    variable_list saved = {
        q, values, key_weight, projection.key_bias, value_weight, projection.value_bias, or_undefined(mask), out, lse};
    saved.insert(saved.end(), axes.begin(), axes.end());
    context->save_for_backward(saved);
    context->saved_data["options"] = AttendFunction::pack(scalars);
    context->saved_data["projection"] =
        std::make_tuple(normalize, norm_eps, heads, std::string(name_of(plan)), range.first, range.length);
    context->set_materialize_grads(false);
    return {out, lse};
  }

  static variable_list backward(AutogradContext* context, const variable_list& grads) {
    const auto saved = context->get_saved_variables();
    const auto scalars = AttendFunction::unpack(context->saved_data["options"]);
    const auto p = context->saved_data["projection"].toTupleRef().elements().vec();
    const FoldedProjection projection{saved[2],      saved[3],        saved[4],     saved[5],
                                      p[0].toBool(), p[1].toDouble(), p[2].toInt(), plan_of(p[3].toStringRef())};
    const variable_list axes(saved.begin() + kAxes, saved.end());
    const bool axes_need_grad =
        std::any_of(axes.begin(), axes.end(), [](const at::Tensor& axis) { return axis.requires_grad(); });
    auto g = call_attend_source_backward(zeros_unless_defined(grads[0], saved[7]), grads[1], saved[0], saved[1], axes,
                                         saved[6], projection, saved[7], saved[8], {p[4].toInt(), p[5].toInt()},
                                         scalars, context->needs_input_grad(1), axes_need_grad);
    const auto if_wanted = [&](const at::Tensor& gradient, bool wanted) { return wanted ? gradient : at::Tensor(); };
    variable_list result = {g.q,
                            if_wanted(g.values, context->needs_input_grad(1)),
                            g.key_weight,
                            if_wanted(g.key_bias, saved[3].defined()),
                            g.value_weight,
                            if_wanted(g.value_bias, saved[5].defined())};
    for (const auto& axis : g.axes) result.push_back(if_wanted(axis, axes_need_grad));
    result.resize(kFixedInputs + axes.size() + kArgumentsBehindAxes);
    return result;
  }

 private:
  static constexpr size_t kAxes = 9;                 // where the axes begin among the saved tensors
  static constexpr size_t kFixedInputs = 6;          // forward's tensors before the axes
  static constexpr size_t kArgumentsBehindAxes = 7;  // mask, normalize, norm_eps, heads, plan, range, scalars
};

std::tuple<at::Tensor, at::Tensor> attend_autograd(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                                   const at::Tensor& mask, const AttendScalars& scalars) {
  const auto results = AttendFunction::apply(q, k, v, or_nullopt(mask), scalars);
  return {results[0], results[1]};
}

std::tuple<at::Tensor, at::Tensor> attend_source_autograd(const at::Tensor& q, const at::Tensor& values,
                                                          at::TensorList axes, const at::Tensor& mask,
                                                          const FoldedProjection& p, const SourceRange& range,
                                                          const AttendScalars& scalars) {
  const auto results = AttendSourceFunction::apply(q, values, p.key_weight, or_nullopt(p.key_bias), p.value_weight,
                                                   or_nullopt(p.value_bias), axes, or_nullopt(mask), p.normalize,
                                                   p.norm_eps, p.heads, p.plan, range, scalars);
  return {results[0], results[1]};
}

// Without this refusal a second derivative would be silently absent.
void refuse_double_backward(const char* name, std::initializer_list<at::Tensor> inputs) {
  if (!at::GradMode::is_enabled()) return;
  for (const auto& input : inputs) {
    TORCH_CHECK(!input.defined() || !input.requires_grad(), "double backward of ", name, " is not supported");
  }
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> attend_backward_autograd(const at::Tensor& grad_out,
                                                                        const at::Tensor& grad_lse, const at::Tensor& q,
                                                                        const at::Tensor& k, const at::Tensor& v,
                                                                        const at::Tensor& mask, const at::Tensor& out,
                                                                        const at::Tensor& lse,
                                                                        const AttendScalars& scalars) {
  refuse_double_backward("attend", {grad_out, grad_lse, q, k, v});
  at::AutoDispatchBelowADInplaceOrView below;
  return call_attend_backward(grad_out, grad_lse, q, k, v, mask, out, lse, scalars);
}

SourceGradients attend_source_backward_autograd(const at::Tensor& grad_out, const at::Tensor& grad_lse,
                                                const at::Tensor& q, const at::Tensor& values, at::TensorList axes,
                                                const at::Tensor& mask, const FoldedProjection& projection,
                                                const at::Tensor& out, const at::Tensor& lse, const SourceRange& range,
                                                const AttendScalars& scalars, bool values_need_grad,
                                                bool axes_need_grad) {
  refuse_double_backward("attend_source",
                         {grad_out, grad_lse, q, values, projection.key_weight, projection.value_weight});
  at::AutoDispatchBelowADInplaceOrView below;
  return call_attend_source_backward(grad_out, grad_lse, q, values, axes, mask, projection, out, lse, range, scalars,
                                     values_need_grad, axes_need_grad);
}

}  // namespace

TORCH_LIBRARY_IMPL(perceive, Autograd, library) {
  library.impl("attend", TORCH_FN(AttendKernel<attend_autograd>::call));
  library.impl("attend_backward", TORCH_FN(AttendBackwardKernel<attend_backward_autograd>::call));
  library.impl("attend_source", TORCH_FN(AttendSourceKernel<attend_source_autograd>::call));
  library.impl("attend_source_backward", TORCH_FN(AttendSourceBackwardKernel<attend_source_backward_autograd>::call));
}

}  // namespace perceive::ops
