// attend_source over a source whose values arrive in chunks: one operator call a chunk, merged; and once more backward.
#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/custom_class.h>

#include <algorithm>

#include "perceive/ops/read_ahead.h"
#include "perceive/ops/registration.h"

namespace perceive::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// What both passes need besides tensors.
class Chunks : public torch::CustomClassHolder {
 public:
  Chunks(const Source& source, const AttendScalars& scalars) : source(source), scalars(scalars) {}
  const Source source;
  const AttendScalars scalars;

  void each(
      const std::function<void(const at::Tensor& values, const at::Tensor& mask, const SourceRange&)>& body) const {
    for_chunks(source, [&](const at::Tensor& values, int64_t first) {
      TORCH_CHECK(!source.mask.defined() || source.mask.size(1) == source.length, "attend_source: mask must be [",
                  values.size(0), ", ", source.length, "]; got ", source.mask.sizes());
      const auto mask = source.mask.defined() ? source.mask.narrow(1, first, values.size(1)) : at::Tensor();
      body(values, mask, {first, source.length});
    });
  }
};

class ChunksFunction : public torch::autograd::Function<ChunksFunction> {
 public:
  static variable_list forward(AutogradContext* context, const at::Tensor& q, const at::Tensor& key_weight,
                               const OptionalTensor& key_bias, const at::Tensor& value_weight,
                               const OptionalTensor& value_bias, at::TensorList axes, bool normalize, double norm_eps,
                               int64_t heads, SourcePlan plan, const c10::intrusive_ptr<Chunks>& chunks) {
    at::AutoDispatchBelowADInplaceOrView below;
    const FoldedProjection projection{
        key_weight, or_undefined(key_bias), value_weight, or_undefined(value_bias), normalize, norm_eps, heads, plan};
    const auto wide = q.to(accumulation_type(q));  // merged unrounded
    // In double: many thousands of roundings would add up.
    const auto options = q.options().dtype(at::kDouble);
    Attended total{at::zeros({q.size(0), q.size(1), q.size(2), value_weight.size(0) / heads}, options),
                   at::full({q.size(0), q.size(1), q.size(2)}, -INFINITY, options)};
    chunks->each([&](const at::Tensor& values, const at::Tensor& mask, const SourceRange& range) {
      auto [out, lse] = call_attend_source(wide, values, axes, mask, projection, range, chunks->scalars);
      total = merge(total, {out.to(at::kDouble), lse.to(at::kDouble)});
    });
    total.out = total.out.to(q.scalar_type());
    total.lse = total.lse.to(wide.scalar_type());
    variable_list saved = {q,         key_weight, projection.key_bias, value_weight, projection.value_bias,
                           total.out, total.lse};
    saved.insert(saved.end(), axes.begin(), axes.end());
    context->save_for_backward(saved);
    context->saved_data["chunks"] = c10::IValue::make_capsule(chunks);
    context->saved_data["projection"] = std::make_tuple(normalize, norm_eps, heads, std::string(name_of(plan)));
    context->set_materialize_grads(false);
    return {total.out, total.lse};
  }

  static variable_list backward(AutogradContext* context, const variable_list& grads) {
    const auto saved = context->get_saved_variables();
    const auto p = context->saved_data["projection"].toTupleRef().elements().vec();
    const FoldedProjection projection{saved[1],      saved[2],        saved[3],     saved[4],
                                      p[0].toBool(), p[1].toDouble(), p[2].toInt(), plan_of(p[3].toStringRef())};
    const variable_list axes(saved.begin() + kAxes, saved.end());
    const bool axes_need_grad =
        std::any_of(axes.begin(), axes.end(), [](const at::Tensor& axis) { return axis.requires_grad(); });
    const auto chunks = c10::static_intrusive_pointer_cast<Chunks>(context->saved_data["chunks"].toCapsule());
    const auto grad_out = grads[0].defined() ? grads[0] : at::zeros_like(saved[5]);
    variable_list total;
    std::vector<at::ScalarType> types;
    chunks->each([&](const at::Tensor& values, const at::Tensor& mask, const SourceRange& range) {
      const auto g = call_attend_source_backward(grad_out, grads[1], saved[0], values, axes, mask, projection, saved[5],
                                                 saved[6], range, chunks->scalars, false, axes_need_grad);
      variable_list part = {g.q, g.key_weight, g.key_bias, g.value_weight, g.value_bias};
      part.insert(part.end(), g.axes.begin(), g.axes.end());
      if (total.empty()) {
        for (const auto& gradient : part) {
          types.push_back(gradient.scalar_type());
          total.push_back(gradient.to(at::kDouble));
        }
      } else {
        for (size_t i = 0; i < part.size(); ++i) total[i].add_(part[i]);
      }
    });
    for (size_t i = 0; i < total.size(); ++i) total[i] = total[i].to(types[i]);
    // Absent tensors and plain arguments of forward get nothing: in its order, q, four weights, axes, five arguments.
    if (total.empty()) return variable_list(kFixedInputs + axes.size() + kArgumentsBehindAxes);
    if (!saved[2].defined()) total[2] = at::Tensor();
    if (!saved[4].defined()) total[4] = at::Tensor();
    if (!axes_need_grad) total.resize(kFixedInputs);
    total.resize(kFixedInputs + axes.size() + kArgumentsBehindAxes);
    return total;
  }

 private:
  static constexpr size_t kAxes = 7;                 // where the axes begin among the saved tensors
  static constexpr size_t kFixedInputs = 5;          // forward's tensors before the axes
  static constexpr size_t kArgumentsBehindAxes = 5;  // normalize, norm_eps, heads, plan, chunks
};

}  // namespace

Attended attend_chunks(const at::Tensor& q, const Source& source, const FoldedProjection& projection,
                       const AttendScalars& scalars) {
  const auto results = ChunksFunction::apply(
      q, projection.key_weight, or_nullopt(projection.key_bias), projection.value_weight,
      or_nullopt(projection.value_bias), at::TensorList(source.positions.axes), projection.normalize,
      projection.norm_eps, projection.heads, projection.plan, c10::make_intrusive<Chunks>(source, scalars));
  return {results[0], results[1]};
}

}  // namespace perceive::ops
