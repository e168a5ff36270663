// What both passes do with the tiles of a part.
#pragma once

#include <optional>

#include "perceive/ops/cpu/keys.h"

namespace perceive::ops::cpu {

inline constexpr double kLog2E = 1.4426950408889634;

inline Blocks blocks_of(const Plan& plan, const Range& rows) {
  return {rows.size(), plan.lanes, kernels::tile_kernels().width};
}

// Scratch of a part, as large as its largest tile needs.
class Scratch {
 public:
  enum Use { scores, grad_scores, add, multiply, uses };
  float* take(Use use, int64_t count) {
    auto& buffer = buffers_[use];
    if (static_cast<int64_t>(buffer.size()) < count) buffer.resize(count);
    return buffer.data();
  }

 private:
  Floats buffers_[uses];
};

// The keys of a tile with what is special to a block of rows: visibility and dropout. Empty where none is in sight.
std::optional<kernels::KeyTile> for_block(const Shape& shape, const Visibility& visibility, int64_t item, int64_t head,
                                          const Tile& tile, const Range& rows, int64_t lanes, Scratch& scratch);

// Hands every tile of the part that has keys in sight to body(tile, first key, ahead). ahead() gives each of the tile's
// `blocks` blocks its share of the next tile's memory, to be fetched meanwhile.
template <class Body>
void for_each_tile(const Plan& plan, const Plan::Part& part, const Visibility& visibility, TileReader& reader,
                   int64_t blocks, Tile& tile, Body&& body) {
  for (int64_t begin = part.keys.begin; begin < part.keys.end; begin += plan.key_tile) {
    const int64_t end = std::min(begin + plan.key_tile, part.keys.end);
    visibility.keys(part.item, {begin, end}, tile);
    if (tile.index.empty()) continue;
    reader.read(part.item, tile);
    const int64_t next = std::min(plan.key_tile, part.keys.end - end);
    int64_t done = 0;
    const auto ahead = [&] {
      const Range share{end + next * done / blocks, end + next * (done + 1) / blocks};
      ++done;
      return reader.ahead(part.item, share);
    };
    body(tile, begin, ahead);
  }
}

}  // namespace perceive::ops::cpu
