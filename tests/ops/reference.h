// The plain formula of attention, whole matrices in double: what every path is held against.
#pragma once

#include <ATen/ATen.h>

#include <cmath>

#include "perceive/ops/attend.h"

namespace perceive::ops::testing {

// mask: broadcastable to [B, H, N, M]. NaN behind a mask is kept out by never touching masked keys.
inline Attended formula(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& mask = {},
                        const AttendOptions& options = {}) {
  const int64_t n = q.size(2), m = k.size(2);
  auto visible = at::ones({q.size(0), q.size(1), n, m}, at::kBool);
  if (mask.defined()) {
    visible = visible.logical_and(mask.dim() == 2 ? mask.unsqueeze(1).unsqueeze(1) : mask);
  }
  if (options.causal) visible = visible.logical_and(at::ones({n, m}, at::kBool).tril(m - n));
  const double scale = options.scale.value_or(1.0 / std::sqrt(static_cast<double>(q.size(3))));
  const auto scores = (q.to(at::kDouble).matmul(k.to(at::kDouble).transpose(2, 3)) * scale)
                          .masked_fill(visible.logical_not(), -INFINITY);
  const auto lse = m > 0 ? scores.logsumexp(3) : at::full({q.size(0), q.size(1), n}, -INFINITY, at::kDouble);
  const auto weights = (scores - lse.masked_fill(lse == -INFINITY, 0.0).unsqueeze(3)).exp();
  return {weights.matmul(v.to(at::kDouble)), lse};
}

// The source written out, [B, M, C + E], and projected to keys and values.
inline std::pair<at::Tensor, at::Tensor> project(const Source& source, const Projection& projection) {
  auto x = source.values.to(at::kDouble);
  if (!source.positions.axes.empty()) {
    const auto positions = source.positions.expand(0, source.keys()).to(at::kDouble);
    x = at::cat({x, positions.unsqueeze(0).expand({x.size(0), -1, -1})}, 2);
  }
  const auto wide = [](const at::Tensor& t) { return t.defined() ? t.to(at::kDouble) : t; };
  if (projection.normalize) {
    x = at::layer_norm(x, {x.size(2)}, wide(projection.norm_weight), wide(projection.norm_bias), projection.norm_eps);
  }
  const auto heads = [&](const at::Tensor& weight, const at::Tensor& bias) {
    return at::linear(x, wide(weight), wide(bias)).unflatten(2, {projection.heads, -1}).transpose(1, 2);
  };
  return {heads(projection.key_weight, projection.key_bias), heads(projection.value_weight, projection.value_bias)};
}

inline Attended formula(const at::Tensor& q, const Source& source, const Projection& projection,
                        const AttendOptions& options = {}) {
  const auto [k, v] = project(source, projection);
  return formula(q, k, v, source.mask, options);
}

inline double difference(const at::Tensor& a, const at::Tensor& b) {
  if (a.numel() == 0) return a.sizes() == b.sizes() ? 0.0 : INFINITY;
  const auto x = a.to(at::kDouble), y = b.to(at::kDouble);
  const auto same = x == y;  // infinities
  return (x - y).abs().masked_fill(same, 0.0).max().item<double>();
}

}  // namespace perceive::ops::testing
