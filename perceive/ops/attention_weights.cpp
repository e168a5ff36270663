// Attention weights on demand, for the rows asked for.
#include <ATen/ATen.h>

#include "perceive/ops/formula/projected_keys.h"
#include "perceive/ops/formula/walk.h"
#include "perceive/ops/operators.h"

namespace perceive::ops {
namespace {

using formula::Block;
using formula::Problem;

// [B, H, R, M], filled a tile of keys at a time by what `keys` gives for it.
at::Tensor gather_weights(const at::Tensor& q, const at::Tensor& lse, const at::Tensor& rows, const Problem& problem,
                          int64_t keys, int64_t key_tile, const std::function<at::Tensor(const Range&)>& tile) {
  const auto chosen = rows.defined() ? rows : at::arange(q.size(2), q.options().dtype(at::kLong));
  TORCH_CHECK(chosen.dim() == 1 && chosen.scalar_type() == at::kLong, "attention_weights: rows must be int64 [R]; got ",
              chosen.scalar_type(), " ", chosen.sizes());
  const auto type = accumulation_type(q);
  const auto scaled = q.to(type) * problem.scalars.scale;
  const auto reference = lse.to(type).masked_fill(lse == -INFINITY, INFINITY).index_select(2, chosen).unsqueeze(3);
  auto result = at::empty({q.size(0), q.size(1), chosen.size(0), keys}, q.options());
  const auto picked = scaled.index_select(2, chosen);
  for_tiles({0, keys}, key_tile, [&](const Range& range) {
    // The rows need not be neighbours, so what they see is worked out for all queries and then chosen from.
    const Block block{{0, q.size(0)}, {0, q.size(2)}, range};
    const auto seen = formula::visible(problem, block);
    auto scores = picked.matmul(tile(range).transpose(2, 3));
    if (seen.defined()) {
      const auto here = seen.size(2) == 1 ? seen : seen.index_select(2, chosen);
      scores.masked_fill_(here.logical_not(), -INFINITY);
    }
    formula::narrow(result, 3, range).copy_(scores.sub_(reference).exp_());
  });
  return result;
}

constexpr int64_t kKeyTile = 4096;

int64_t key_tile_of(const AttendScalars& scalars) {
  return scalars.key_tile > 0 ? scalars.key_tile : kKeyTile;
}

}  // namespace

at::Tensor attention_weights(const at::Tensor& q, const at::Tensor& k, const at::Tensor& lse, const at::Tensor& rows,
                             const at::Tensor& mask, const AttendOptions& options) {
  const at::NoGradGuard no_grad;
  const auto scalars = scalars_of(options, q);
  check_attend(q, k, k, mask, scalars);
  const Problem problem{q.size(1), q.size(2), 0, k.size(2), scalars, mask_as_4d(mask)};
  return gather_weights(q, lse, rows, problem, k.size(2), key_tile_of(scalars),
                        [&](const Range& range) { return formula::narrow(k, 2, range).to(accumulation_type(q)); });
}

at::Tensor attention_weights(const at::Tensor& q, const Source& source, const Projection& projection,
                             const at::Tensor& lse, const at::Tensor& rows, const AttendOptions& options) {
  const at::NoGradGuard no_grad;
  const auto scalars = scalars_of(options, q);
  const auto folded = fold_projection(source, projection);
  const int64_t length = source.keys();
  const Problem problem{q.size(1), q.size(2), 0, length, scalars, mask_as_4d(source.mask)};
  const auto keys_of = [&](const at::Tensor& values, const at::Tensor& mask, const SourceRange& part) {
    check_attend_source(q, values, source.positions.axes, mask, folded, part, scalars);
    return formula::ProjectedKeys(values, source.positions.axes, mask, folded, part, q.size(3), accumulation_type(q));
  };
  const Range items{0, q.size(0)};
  if (source.values.defined()) {
    const auto keys = keys_of(source.values, source.mask, {0, length});
    return gather_weights(q, lse, rows, problem, length, key_tile_of(scalars),
                          [&](const Range& range) { return keys.tile(items, range).k; });
  }
  return gather_weights(q, lse, rows, problem, length, source.chunk, [&](const Range& range) {
    const auto mask = source.mask.defined() ? formula::narrow(source.mask, 1, range) : at::Tensor();
    const auto values = source.read(range.begin, range.size());
    return keys_of(values, mask, {range.begin, length}).tile(items, {0, range.size()}).k;
  });
}

}  // namespace perceive::ops
