// Visibility and dropout of a block of rows.
#include "perceive/ops/cpu/tiles.h"

#include "perceive/kernels/dropout.h"

namespace perceive::ops::cpu {

std::optional<kernels::KeyTile> for_block(const Shape& shape, const Visibility& visibility, int64_t item, int64_t head,
                                          const Tile& tile, const Range& rows, int64_t lanes, Scratch& scratch) {
  kernels::KeyTile keys = tile.head[head];
  if (visibility.differs_by_row()) {
    float* const add = scratch.take(Scratch::add, keys.keys * lanes);
    const auto seen = visibility.rows(item, head, tile, rows, lanes, add);
    if (seen == Visibility::Seen::none) return std::nullopt;
    if (seen == Visibility::Seen::some) keys.add = add;
  }
  if (shape.scalars.dropout > 0) {
    const kernels::DropoutPattern pattern{static_cast<uint64_t>(shape.scalars.seed), shape.scalars.dropout};
    const int64_t first = tile.index.front(), span = tile.index.back() + 1 - first;
    float* const multiply = scratch.take(Scratch::multiply, keys.keys * lanes + span);
    float* const row = multiply + keys.keys * lanes;
    std::fill(multiply, row, 0.0F);
    for (int64_t r = rows.begin; r < rows.end; ++r) {
      const int64_t head_of_row = shape.head_of(shape.key_head_of(item, head), r);
      const int64_t id = (shape.batch_of(item) * shape.heads + head_of_row) * shape.queries + shape.query_of(r);
      kernels::dropout_row(pattern, static_cast<uint64_t>(id), static_cast<uint64_t>(shape.range.first + first), span,
                           row);
      for (int64_t j = 0; j < keys.keys; ++j) multiply[j * lanes + (r - rows.begin)] = row[tile.index[j] - first];
    }
    keys.multiply = multiply;
  }
  return keys;
}

}  // namespace perceive::ops::cpu
