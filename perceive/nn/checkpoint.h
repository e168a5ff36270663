// Activation checkpointing: a segment of a model keeps its inputs only, and runs again when its gradients are needed.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <vector>

namespace perceive::nn {

using Segment = std::function<at::Tensor(const std::vector<at::Tensor>& inputs)>;

// segment(inputs), with gradients for `inputs` and `parameters` equal to those of a plain call. What the segment
// computes with must be in one of the two lists, or need no gradient. The second run sees the random generators and
// the autocast state of the first, so that dropout drops the same; afterwards both are as they were. Where no gradients
// are recorded, this is a plain call. Double backward is refused.
at::Tensor checkpoint(const Segment& segment, const std::vector<at::Tensor>& inputs,
                      const std::vector<at::Tensor>& parameters);

struct RowTile {
  int64_t first, rows;
};
using TileSegment = std::function<at::Tensor(const RowTile& tile, const std::vector<at::Tensor>& inputs)>;

// segment(tile, {rows of the tile [B, rows, C], inputs...}) of each tile of x [B, n, C], one at least, joined along
// dimension `along`. As checkpoint() of each tile, in the memory of one tile and of the gradients: nothing is kept
// between two tiles. Tiles may overlap. A segment draws no random numbers.
at::Tensor checkpoint_tiles(const TileSegment& segment, const std::vector<RowTile>& tiles, int64_t along,
                            const at::Tensor& x, const std::vector<at::Tensor>& inputs);

}  // namespace perceive::nn
