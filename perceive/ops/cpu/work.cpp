// Cutting a call into parts.
#include "perceive/ops/cpu/work.h"

#include <algorithm>

namespace perceive::ops::cpu {
namespace {

constexpr int64_t kKeyTile = 192;     // 48 KB of scores a block of 64 lanes: with K and V of width 64 it stays in L2
constexpr int64_t kRowsAPart = 2048;  // so many rows' queries and sums fit a core's cache

}  // namespace

Plan::Part Plan::part(int64_t index) const {
  const auto key_count = static_cast<int64_t>(key_parts.size()), row_count = static_cast<int64_t>(row_parts.size());
  const int64_t key_part = index % key_count, rest = index / key_count;
  return {rest / row_count, row_parts[rest % row_count], key_parts[key_part], rest % row_count, key_part};
}

Plan make_plan(const Shape& shape, const kernels::TileKernels& kernels, bool whole_rows) {
  Plan plan;
  plan.items = shape.items();
  plan.key_tile = shape.scalars.key_tile > 0 ? std::min(shape.scalars.key_tile, int64_t{4096}) : kKeyTile;
  const int64_t wanted = (kParts + std::max<int64_t>(plan.items, 1) - 1) / std::max<int64_t>(plan.items, 1);
  const int64_t rows = shape.rows();
  const bool by_keys = whole_rows || shape.keys >= rows;
  int64_t row_parts = whole_rows ? 1 : (rows + kRowsAPart - 1) / kRowsAPart;
  if (!by_keys) row_parts = std::max(row_parts, wanted);
  plan.row_parts = cut(rows, std::max<int64_t>(row_parts, 1), kernels.lanes);
  const int64_t still_wanted =
      (wanted + static_cast<int64_t>(plan.row_parts.size()) - 1) / static_cast<int64_t>(plan.row_parts.size());
  plan.key_parts = cut(shape.keys, by_keys ? still_wanted : 1, plan.key_tile);
  return plan;
}

}  // namespace perceive::ops::cpu
