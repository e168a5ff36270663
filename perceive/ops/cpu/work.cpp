// Cutting a call into parts.
#include "perceive/ops/cpu/work.h"

#include <algorithm>

namespace perceive::ops::cpu {
namespace {

// Keys of a tile: they stay in a core's second cache, and each block of queries works through all of them.
constexpr int64_t kKeyTile = 192;
constexpr int64_t kRowsAPart = 2048;  // so many rows' queries and sums fit a core's cache

// Rows of a block: as many as asked for in whole vectors, or where keys are bfloat16 in whole steps; at least one.
int64_t lanes_of(const Shape& shape, const kernels::TileKernels& kernels) {
  if (shape.scalars.query_tile == 0) return kernels.lanes;
  const int64_t unit = shape.bf16 ? kernels::Bf16Keys::kStep : kernels.width;
  return std::clamp(shape.scalars.query_tile / unit * unit, unit, kernels.lanes);
}

}  // namespace

Plan::Part Plan::part(int64_t index) const {
  const auto key_count = static_cast<int64_t>(key_parts.size()), row_count = static_cast<int64_t>(row_parts.size());
  const int64_t key_part = index % key_count, rest = index / key_count;
  return {rest / row_count, row_parts[rest % row_count], key_parts[key_part], rest % row_count, key_part};
}

Plan make_plan(const Shape& shape, const kernels::TileKernels& kernels, CutBy by, int64_t least_keys) {
  Plan plan;
  plan.items = shape.items();
  plan.lanes = lanes_of(shape, kernels);
  plan.key_tile = shape.scalars.key_tile > 0 ? std::min(shape.scalars.key_tile, int64_t{4096}) : kKeyTile;
  const int64_t wanted = (kParts + std::max<int64_t>(plan.items, 1) - 1) / std::max<int64_t>(plan.items, 1);
  const int64_t rows = shape.rows();
  const bool by_rows = by != CutBy::keys && shape.keys < rows;
  const int64_t small_enough = by == CutBy::size ? (rows + kRowsAPart - 1) / kRowsAPart : 1;
  const int64_t row_parts = std::max<int64_t>({small_enough, by_rows ? wanted : 1, 1});
  plan.row_parts = cut(rows, row_parts, plan.lanes);
  const auto row_count = static_cast<int64_t>(plan.row_parts.size());
  // A power of two, so that it goes round on the usual numbers of threads; two in any case.
  int64_t key_parts = 1;
  while (key_parts * row_count < wanted && (key_parts == 1 || 2 * key_parts * least_keys <= shape.keys)) key_parts *= 2;
  plan.key_parts = cut(shape.keys, by_rows ? 1 : key_parts, plan.key_tile);
  return plan;
}

}  // namespace perceive::ops::cpu
