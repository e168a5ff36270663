// The public functions of attention, and the schemas of the operators behind them.
#include "perceive/ops/attend.h"

#include <ATen/ATen.h>
#include <torch/library.h>

#include <cmath>

#include "perceive/ops/operators.h"

namespace perceive::ops {

TORCH_LIBRARY_FRAGMENT(perceive, library) {
  library.def(
      "attend(Tensor q, Tensor k, Tensor v, Tensor? mask, float scale, bool causal, float dropout, int seed, "
      "int query_tile, int key_tile) -> (Tensor out, Tensor lse)");
  library.def(
      "attend_backward(Tensor grad_out, Tensor? grad_lse, Tensor q, Tensor k, Tensor v, Tensor? mask, Tensor out, "
      "Tensor lse, float scale, bool causal, float dropout, int seed, int query_tile, int key_tile) "
      "-> (Tensor grad_q, Tensor grad_k, Tensor grad_v)");
  library.def(
      "attend_source(Tensor q, Tensor values, Tensor[] axes, Tensor? mask, Tensor key_weight, Tensor? key_bias, "
      "Tensor value_weight, Tensor? value_bias, bool normalize, float norm_eps, int heads, str plan, int first, "
      "int length, float scale, bool causal, float dropout, int seed, int query_tile, int key_tile) "
      "-> (Tensor out, Tensor lse)");
  library.def(
      "attend_source_backward(Tensor grad_out, Tensor? grad_lse, Tensor q, Tensor values, Tensor[] axes, Tensor? mask, "
      "Tensor key_weight, Tensor? key_bias, Tensor value_weight, Tensor? value_bias, Tensor out, Tensor lse, "
      "bool normalize, float norm_eps, int heads, str plan, int first, int length, float scale, bool causal, "
      "float dropout, int seed, int query_tile, int key_tile, bool values_need_grad, bool axes_need_grad) "
      "-> (Tensor grad_q, Tensor grad_values, Tensor[] grad_axes, Tensor grad_key_weight, Tensor grad_key_bias, "
      "Tensor grad_value_weight, Tensor grad_value_bias)");
}

namespace {

double scale_of(const AttendOptions& options, const at::Tensor& q) {
  return options.scale.value_or(1.0 / std::sqrt(static_cast<double>(std::max<int64_t>(q.size(3), 1))));
}

// The weights of LayerNorm and the order of the position features, worked into a projection's weight and bias, so that
// the operators see one form only.
void fold(const Projection& projection, const Positions& positions, int64_t channels, at::Tensor& weight,
          at::Tensor& bias) {
  if (projection.normalize) {
    if (projection.norm_bias.defined()) {
      const auto shift = (weight * projection.norm_bias).sum(1);
      bias = bias.defined() ? bias + shift : shift;
    }
    if (projection.norm_weight.defined()) weight = weight * projection.norm_weight;
  }
  if (positions.order.empty()) return;
  std::vector<int64_t> columns(weight.size(1));
  for (int64_t c = 0; c < channels; ++c) columns[c] = c;
  for (size_t c = 0; c < positions.order.size(); ++c) {
    columns[channels + positions.order[c]] = channels + static_cast<int64_t>(c);
  }
  weight = weight.index_select(1, at::tensor(columns, weight.options().dtype(at::kLong)));
}

void check_projection(const Source& source, const Projection& projection) {
  const auto check_vector = [&](const at::Tensor& t, int64_t size, const char* name) {
    TORCH_CHECK(!t.defined() || (t.dim() == 1 && t.size(0) == size), "attend_source: ", name, " must be [", size,
                "]; got ", t.sizes());
  };
  TORCH_CHECK(projection.key_weight.defined() && projection.value_weight.defined(),
              "attend_source: the projection needs key_weight and value_weight");
  for (const auto& weight : {projection.key_weight, projection.value_weight}) {
    TORCH_CHECK(weight.dim() == 2 && weight.size(1) == source.width(),
                "attend_source: a projection weight must be "
                "[heads·D, ",
                source.width(), "], its columns the channels and position features of the source; got ",
                weight.sizes());
    TORCH_CHECK(projection.heads > 0 && weight.size(0) % projection.heads == 0, "attend_source: ", projection.heads,
                " heads do not divide the ", weight.size(0), " rows of a projection weight");
  }
  check_vector(projection.key_bias, projection.key_weight.size(0), "key_bias");
  check_vector(projection.value_bias, projection.value_weight.size(0), "value_bias");
  if (projection.normalize) {
    check_vector(projection.norm_weight, source.width(), "norm_weight");
    check_vector(projection.norm_bias, source.width(), "norm_bias");
  }
  const auto& order = source.positions.order;
  if (!order.empty()) {
    std::vector<bool> seen(source.positions.width(), false);
    TORCH_CHECK(order.size() == seen.size(), "attend_source: the order of the position features has ", order.size(),
                " entries for ", seen.size(), " features");
    for (const int64_t column : order) {
      TORCH_CHECK(column >= 0 && column < static_cast<int64_t>(seen.size()) && !seen[column],
                  "attend_source: the order of the position features is no permutation: column ", column);
      seen[column] = true;
    }
  }
}

}  // namespace

FoldedProjection fold_projection(const Source& source, const Projection& projection, const AttendOptions& options) {
  check_projection(source, projection);
  FoldedProjection folded;
  folded.key_weight = projection.key_weight;
  folded.key_bias = projection.key_bias;
  folded.value_weight = projection.value_weight;
  folded.value_bias = projection.value_bias;
  folded.normalize = projection.normalize;
  folded.norm_eps = projection.norm_eps;
  folded.heads = projection.heads;
  folded.plan = options.plan;
  const int64_t channels = source.width() - source.positions.width();
  fold(projection, source.positions, channels, folded.key_weight, folded.key_bias);
  fold(projection, source.positions, channels, folded.value_weight, folded.value_bias);
  return folded;
}

AttendScalars scalars_of(const AttendOptions& options, const at::Tensor& q) {
  TORCH_CHECK(q.dim() == 4, "attend: q must be [B, H, N, D]; got ", q.sizes());
  TORCH_CHECK(options.query_tile >= 0 && options.key_tile >= 0, "attend: tiles must not be negative; got query_tile ",
              options.query_tile, " and key_tile ", options.key_tile);
  return {scale_of(options, q), options.causal, options.dropout, options.seed, options.query_tile, options.key_tile};
}

Attended attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& mask,
                const AttendOptions& options) {
  auto [out, lse] = call_attend(q, k, v, mask, scalars_of(options, q));
  return {out, lse};
}

Attended attend_source(const at::Tensor& q, const Source& source, const Projection& projection,
                       const AttendOptions& options) {
  const auto scalars = scalars_of(options, q);
  const auto folded = fold_projection(source, projection, options);
  if (!source.values.defined()) return attend_chunks(q, source, folded, scalars);
  const SourceRange range{0, source.keys()};
  auto [out, lse] = call_attend_source(q, source.values, source.positions.axes, source.mask, folded, range, scalars);
  return {out, lse};
}

Attended merge(const Attended& a, const Attended& b) {
  TORCH_CHECK(a.out.sizes() == b.out.sizes() && a.lse.sizes() == b.lse.sizes(),
              "merge: both parts must have one shape; got out ", a.out.sizes(), " and ", b.out.sizes());
  const auto highest = at::maximum(a.lse, b.lse).detach();
  const auto reference = highest.masked_fill(highest == -INFINITY, 0.0);
  const auto weight_a = (a.lse - reference).exp(), weight_b = (b.lse - reference).exp();
  const auto sum = weight_a + weight_b;
  const auto empty = sum == 0;
  const auto divisor = sum.masked_fill(empty, 1.0);
  const auto out = (a.out * (weight_a / divisor).unsqueeze(-1) + b.out * (weight_b / divisor).unsqueeze(-1));
  return {out.to(a.out.scalar_type()), (reference + divisor.log()).masked_fill(empty, -INFINITY)};
}

}  // namespace perceive::ops
