// Exact attention in tiles: nothing of size N × M is ever held, forward or backward.
//
// Shapes: B batch, H heads, N queries, M keys, D width of a query and a key, Dv width of a value.
// FlashAttention-2 (Dao 2023, arXiv 2307.08691) gives the recurrence and the backward pass from (out, lse).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>

#include "perceive/ops/source.h"

namespace perceive::ops {

// How attend_source reaches its result; every plan computes the same numbers, at a cost that depends on the sizes.
enum class SourcePlan {
  automatic,      // the cheapest, or what the environment variable PERCEIVE_PLAN names
  separate,       // keys and values of a tile are projected, then attended to
  absorb_keys,    // queries carry the key projection: scores meet the normalised inputs
  absorb_values,  // the value projection follows the attention
  absorb,         // both
  separable,      // both, and the positions of a grid are looked up an axis at a time, never expanded
};

struct AttendOptions {
  std::optional<double> scale;  // of the scores; default 1/sqrt(D)
  bool causal = false;          // lower-right aligned: query i sees the keys j <= i + (M - N)
  double dropout = 0.0;         // on the weights; each is kept or dropped by a function of (seed, b, h, i, j)
  int64_t seed = 0;             // of the dropout pattern
  int64_t query_tile = 0;       // queries and keys worked on at once; 0: chosen for the machine
  int64_t key_tile = 0;
  SourcePlan plan = SourcePlan::automatic;  // of attend_source on a CPU
};

// A query that no key is left for gives out 0, lse -inf and no gradient. What stands behind a mask never reaches the
// result, NaN included. Both members are differentiable.
struct Attended {
  at::Tensor out;  // [B, H, N, Dv], in the dtype of q
  at::Tensor lse;  // [B, H, N], log of the sum of exp(scaled score); float32, or float64 for float64 inputs
};

// q [B, H, N, D], k [B, H | 1, M, D], v [B, H | 1, M, Dv], of one dtype: float32, float64, bfloat16 or float16 (half
// precision is accumulated in float32). mask: bool, true where a key counts, [B, M] or broadcastable to [B, H, N, M].
Attended attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& mask = {},
                const AttendOptions& options = {});

// How keys and values come from a source of width C + E (channels, then position features): LayerNorm where
// `normalize` is set, then k = x W_k^T + b_k, v = x W_v^T + b_v, split into heads head-major.
struct Projection {
  at::Tensor key_weight, key_bias;      // [Hk·D, C + E], [Hk·D] or undefined; Hk is the number of heads of q, or 1
  at::Tensor value_weight, value_bias;  // [Hk·Dv, C + E], [Hk·Dv] or undefined
  bool normalize = false;               // LayerNorm over the C + E features of each key
  at::Tensor norm_weight, norm_bias;    // [C + E] or undefined (1 and 0)
  double norm_eps = 1e-5;
  int64_t heads = 1;  // Hk
};

// attend(q, k, v, source.mask) with k and v computed from the source while it is read. Features, normalised inputs, K
// and V exist for one tile at a time. Gradients reach q, every tensor of the projection, the position axes, and the
// values where they are dense and ask for one.
Attended attend_source(const at::Tensor& q, const Source& source, const Projection& projection,
                       const AttendOptions& options = {});

// The attention over the union of two disjoint sets of keys, from the attention over each: exact, associative.
Attended merge(const Attended& a, const Attended& b);

// The weights [B, H, R, M] of the queries `rows` (int64 [R]; undefined: all), from q, k and the lse of attend, before
// dropout. Where q is the whole of attend's, causal means the same as there.
at::Tensor attention_weights(const at::Tensor& q, const at::Tensor& k, const at::Tensor& lse,
                             const at::Tensor& rows = {}, const at::Tensor& mask = {},
                             const AttendOptions& options = {});
// The same with the keys of a source.
at::Tensor attention_weights(const at::Tensor& q, const Source& source, const Projection& projection,
                             const at::Tensor& lse, const at::Tensor& rows = {}, const AttendOptions& options = {});

}  // namespace perceive::ops
