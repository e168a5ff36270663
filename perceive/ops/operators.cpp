// Calls through the dispatcher, and the checks that every key of an operator makes.
#include "perceive/ops/operators.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <c10/util/Exception.h>

#include <cmath>

#include "perceive/ops/registration.h"

namespace perceive::ops {
namespace {

// The handle of the operator `name`, whose flat signature is that of a kernel adaptor.
template <class Signature>
auto handle(const char* name) {
  return c10::Dispatcher::singleton().findSchemaOrThrow(name, "").typed<Signature>();
}

// The adaptors are instantiated for their signatures only.
constexpr auto nothing = nullptr;

using AttendSignature = decltype(AttendKernel<nothing>::call);
using AttendBackwardSignature = decltype(AttendBackwardKernel<nothing>::call);
using AttendSourceSignature = decltype(AttendSourceKernel<nothing>::call);
using AttendSourceBackwardSignature = decltype(AttendSourceBackwardKernel<nothing>::call);

bool is_half(at::ScalarType type) {
  return type == at::kHalf || type == at::kBFloat16;
}

void check_scalars(const char* who, const at::Tensor& q, const at::Tensor& mask, const AttendScalars& scalars) {
  TORCH_CHECK(q.dim() == 4, who, ": q must be [B, H, N, D]; got ", q.sizes());
  TORCH_CHECK(q.scalar_type() == at::kFloat || q.scalar_type() == at::kDouble || is_half(q.scalar_type()), who,
              ": q must be float32, float64, bfloat16 or float16; got ", q.scalar_type());
  TORCH_CHECK(scalars.dropout >= 0.0 && scalars.dropout < 1.0, who, ": dropout must lie in [0, 1); got ",
              scalars.dropout);
  TORCH_CHECK(std::isfinite(scalars.scale), who, ": scale must be finite; got ", scalars.scale);
  TORCH_CHECK(scalars.query_tile >= 0 && scalars.key_tile >= 0, who, ": tiles must not be negative; got query_tile ",
              scalars.query_tile, " and key_tile ", scalars.key_tile);
  TORCH_CHECK(!mask.defined() || mask.scalar_type() == at::kBool, who,
              ": mask must be bool, true where a key counts; got ", mask.scalar_type());
  TORCH_CHECK(!mask.defined() || mask.device() == q.device(), who, ": mask is on ", mask.device(), ", q on ",
              q.device());
}

}  // namespace

std::tuple<at::Tensor, at::Tensor> call_attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                               const at::Tensor& mask, const AttendScalars& s) {
  static const auto op = handle<AttendSignature>("perceive::attend");
  return op.call(q, k, v, or_nullopt(mask), s.scale, s.causal, s.dropout, s.seed, s.query_tile, s.key_tile);
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> call_attend_backward(const at::Tensor& grad_out,
                                                                    const at::Tensor& grad_lse, const at::Tensor& q,
                                                                    const at::Tensor& k, const at::Tensor& v,
                                                                    const at::Tensor& mask, const at::Tensor& out,
                                                                    const at::Tensor& lse, const AttendScalars& s) {
  static const auto op = handle<AttendBackwardSignature>("perceive::attend_backward");
  return op.call(grad_out, or_nullopt(grad_lse), q, k, v, or_nullopt(mask), out, lse, s.scale, s.causal, s.dropout,
                 s.seed, s.query_tile, s.key_tile);
}

std::tuple<at::Tensor, at::Tensor> call_attend_source(const at::Tensor& q, const at::Tensor& values,
                                                      at::TensorList axes, const at::Tensor& mask,
                                                      const FoldedProjection& p, const SourceRange& range,
                                                      const AttendScalars& s) {
  static const auto op = handle<AttendSourceSignature>("perceive::attend_source");
  return op.call(q, values, axes, or_nullopt(mask), p.key_weight, or_nullopt(p.key_bias), p.value_weight,
                 or_nullopt(p.value_bias), p.normalize, p.norm_eps, p.heads, name_of(p.plan), range.first, range.length,
                 s.scale, s.causal, s.dropout, s.seed, s.query_tile, s.key_tile);
}

SourceGradients call_attend_source_backward(const at::Tensor& grad_out, const at::Tensor& grad_lse, const at::Tensor& q,
                                            const at::Tensor& values, at::TensorList axes, const at::Tensor& mask,
                                            const FoldedProjection& p, const at::Tensor& out, const at::Tensor& lse,
                                            const SourceRange& range, const AttendScalars& s, bool values_need_grad,
                                            bool axes_need_grad) {
  static const auto op = handle<AttendSourceBackwardSignature>("perceive::attend_source_backward");
  auto [grad_q, grad_values, grad_axes, key_weight, key_bias, value_weight, value_bias] =
      op.call(grad_out, or_nullopt(grad_lse), q, values, axes, or_nullopt(mask), p.key_weight, or_nullopt(p.key_bias),
              p.value_weight, or_nullopt(p.value_bias), out, lse, p.normalize, p.norm_eps, p.heads, name_of(p.plan),
              range.first, range.length, s.scale, s.causal, s.dropout, s.seed, s.query_tile, s.key_tile,
              values_need_grad, axes_need_grad);
  return {grad_q, grad_values, std::move(grad_axes), key_weight, key_bias, value_weight, value_bias};
}

at::Tensor mask_as_4d(const at::Tensor& mask) {
  if (!mask.defined()) return mask;
  if (mask.dim() == 2) return mask.unsqueeze(1).unsqueeze(1);
  at::Tensor wide = mask;
  while (wide.dim() < 4) wide = wide.unsqueeze(0);
  return wide;
}

at::ScalarType accumulation_type(const at::Tensor& q) {
  return q.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
}

void check_attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& mask,
                  const AttendScalars& scalars) {
  check_scalars("attend", q, mask, scalars);
  TORCH_CHECK(k.dim() == 4 && v.dim() == 4, "attend: k and v must be [B, H | 1, M, D]; got ", k.sizes(), " and ",
              v.sizes());
  TORCH_CHECK(q.scalar_type() == k.scalar_type() && q.scalar_type() == v.scalar_type(),
              "attend: q, k and v must share one dtype; got ", q.scalar_type(), ", ", k.scalar_type(), " and ",
              v.scalar_type());
  TORCH_CHECK(q.device() == k.device() && q.device() == v.device(), "attend: q, k and v must be on one device; got ",
              q.device(), ", ", k.device(), " and ", v.device());
  TORCH_CHECK(q.size(3) == k.size(3), "attend: q and k must share the head dimension; got q ", q.sizes(), " and k ",
              k.sizes());
  TORCH_CHECK(q.size(0) == k.size(0) && q.size(0) == v.size(0), "attend: q, k and v must share the batch; got q ",
              q.sizes(), ", k ", k.sizes(), " and v ", v.sizes());
  TORCH_CHECK(k.size(1) == v.size(1) && k.size(2) == v.size(2), "attend: k and v must share heads and keys; got k ",
              k.sizes(), " and v ", v.sizes());
  TORCH_CHECK(k.size(1) == q.size(1) || k.size(1) == 1, "attend: k and v must have the ", q.size(1),
              " heads of q, or one; got k ", k.sizes());
  if (!mask.defined()) return;
  const auto m = mask_as_4d(mask);
  const std::vector<int64_t> full = {q.size(0), q.size(1), q.size(2), k.size(2)};
  TORCH_CHECK(mask.dim() >= 2 && mask.dim() <= 4, "attend: mask must be [B, M] or broadcastable to ",
              at::IntArrayRef(full), "; got ", mask.sizes());
  for (int64_t d = 0; d < 4; ++d) {
    TORCH_CHECK(m.size(d) == full[d] || m.size(d) == 1, "attend: mask must be [B, M] or broadcastable to ",
                at::IntArrayRef(full), "; got ", mask.sizes());
  }
}

void check_gradients(const char* who, const at::Tensor& q, int64_t value_width, const at::Tensor& out,
                     const at::Tensor& lse, const at::Tensor& grad_out, const at::Tensor& grad_lse) {
  const std::vector<int64_t> rows{q.size(0), q.size(1), q.size(2)}, all{q.size(0), q.size(1), q.size(2), value_width};
  const auto check = [&](const at::Tensor& t, const char* name, at::IntArrayRef sizes, at::ScalarType type) {
    TORCH_CHECK(t.sizes() == sizes, who, ": ", name, " must be ", sizes, "; got ", t.sizes());
    TORCH_CHECK(t.scalar_type() == type, who, ": ", name, " must be ", type, "; got ", t.scalar_type());
    TORCH_CHECK(t.device() == q.device(), who, ": ", name, " is on ", t.device(), ", q on ", q.device());
  };
  check(out, "out", all, q.scalar_type());
  check(grad_out, "grad_out", all, q.scalar_type());
  check(lse, "lse", rows, accumulation_type(q));
  if (grad_lse.defined()) check(grad_lse, "grad_lse", rows, accumulation_type(q));
}

void check_attend_source(const at::Tensor& q, const at::Tensor& values, at::TensorList axes, const at::Tensor& mask,
                         const FoldedProjection& projection, const SourceRange& range, const AttendScalars& scalars) {
  TORCH_CHECK(projection.heads > 0, "attend_source: heads must be positive; got ", projection.heads);
  TORCH_CHECK(projection.norm_eps >= 0.0 && std::isfinite(projection.norm_eps),
              "attend_source: norm_eps must be finite and not negative; got ", projection.norm_eps);
  check_scalars("attend_source", q, mask, scalars);
  const auto compatible = [&](const at::Tensor& t, const char* name) {
    TORCH_CHECK(!t.defined() || t.device() == q.device(), "attend_source: ", name, " is on ", t.device(), ", q on ",
                q.device());
    TORCH_CHECK(!t.defined() || (t.scalar_type() == at::kDouble) == (q.scalar_type() == at::kDouble),
                "attend_source: float64 goes with float64 only; q is ", q.scalar_type(), ", ", name, " ",
                t.scalar_type());
    TORCH_CHECK(!t.defined() || t.is_floating_point(), "attend_source: ", name, " must be of a floating type; got ",
                t.scalar_type());
  };
  TORCH_CHECK(values.dim() == 3, "attend_source: values must be [B, M, C]; got ", values.sizes());
  TORCH_CHECK(values.size(0) == q.size(0), "attend_source: q and values must share the batch; got q ", q.sizes(),
              " and values ", values.sizes());
  compatible(values, "values");
  int64_t positions = axes.empty() ? range.length : 1, width = values.size(2);
  for (const auto& axis : axes) {
    TORCH_CHECK(axis.dim() == 2, "attend_source: a position axis must be [size, features]; got ", axis.sizes());
    compatible(axis, "a position axis");
    positions *= axis.size(0);
    width += axis.size(1);
  }
  TORCH_CHECK(range.first >= 0 && range.first + values.size(1) <= range.length, "attend_source: keys ", range.first,
              " to ", range.first + values.size(1), " of a source of ", range.length);
  TORCH_CHECK(positions == range.length, "attend_source: the positions describe ", positions, " keys, the source has ",
              range.length);
  TORCH_CHECK(projection.heads == q.size(1) || projection.heads == 1, "attend_source: keys and values must have the ",
              q.size(1), " heads of q, or one; got ", projection.heads);
  compatible(projection.key_weight, "key_weight");
  compatible(projection.key_bias, "key_bias");
  compatible(projection.value_weight, "value_weight");
  compatible(projection.value_bias, "value_bias");
  TORCH_CHECK(projection.key_weight.dim() == 2 && projection.key_weight.size(0) == projection.heads * q.size(3) &&
                  projection.key_weight.size(1) == width,
              "attend_source: key_weight must be [", projection.heads * q.size(3), ", ", width, "]; got ",
              projection.key_weight.sizes());
  TORCH_CHECK(projection.value_weight.dim() == 2 && projection.value_weight.size(0) % projection.heads == 0 &&
                  projection.value_weight.size(1) == width,
              "attend_source: value_weight must be [", projection.heads, "·Dv, ", width, "]; got ",
              projection.value_weight.sizes());
  const auto check_bias = [](const at::Tensor& bias, const char* name, int64_t rows) {
    TORCH_CHECK(!bias.defined() || (bias.dim() == 1 && bias.size(0) == rows), "attend_source: ", name, " must be [",
                rows, "]; got ", bias.sizes());
  };
  check_bias(projection.key_bias, "key_bias", projection.key_weight.size(0));
  check_bias(projection.value_bias, "value_bias", projection.value_weight.size(0));
  TORCH_CHECK(!mask.defined() || (mask.dim() == 2 && mask.size(0) == values.size(0) && mask.size(1) == values.size(1)),
              "attend_source: mask must be [", values.size(0), ", ", values.size(1), "]; got ", mask.sizes());
}

}  // namespace perceive::ops
