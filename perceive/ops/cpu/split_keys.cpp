// Splitting the keys of a tile, once for all its blocks of queries.
#include "perceive/ops/cpu/split_keys.h"

#include <algorithm>

namespace perceive::ops::cpu {
namespace {

// Fewer queries do not repay the splitting, and narrower heads leave the registers half empty.
constexpr int64_t kLeastRows = 48, kLeastWidth = 24;

}  // namespace

bool splits(const Shape& shape) {
  return kernels::tile_kernels().split_rows != nullptr && !shape.bf16 && shape.rows() >= kLeastRows;
}

bool SplitReader::split(const kernels::KeyTile& tile, Head& head) const {
  if (tile.grid != nullptr || std::min(tile.key_width, tile.value_width) < kLeastWidth) return false;
  const auto& kernels = kernels::tile_kernels();
  const auto parts = [](auto&& split, const kernels::ConstRows& numbers, int64_t rows, int64_t depth,
                        Numbers<uint16_t>& space, const uint16_t*& to) {
    space.resize(kernels::parts_size(rows, depth));
    to = space.data();
    return split(numbers, rows, depth, space.data());
  };
  const int64_t keys = tile.keys, key_width = tile.key_width, value_width = tile.value_width;
  if (!parts(kernels.split_rows, tile.k, keys, key_width, head.k_rows, head.keys.k_rows)) return false;
  if (pass_ == Pass::forward) {
    return parts(kernels.split_columns, tile.v, value_width, keys, head.v_columns, head.keys.v_columns);
  }
  return parts(kernels.split_columns, tile.k, key_width, keys, head.k_columns, head.keys.k_columns) &&
         parts(kernels.split_rows, tile.v, keys, value_width, head.v_rows, head.keys.v_rows);
}

void SplitReader::read(int64_t item, Tile& tile) {
  reader_->read(item, tile);
  heads_.resize(tile.head.size());
  for (size_t h = 0; h < heads_.size(); ++h) {
    if (split(tile.head[h], heads_[h])) tile.head[h].split = &heads_[h].keys;
  }
}

}  // namespace perceive::ops::cpu
