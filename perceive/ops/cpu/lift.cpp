// Products of blocks of lanes with factors.
#include "perceive/ops/cpu/lift.h"

namespace perceive::ops::cpu {

Floats lift(const Factors& side, int64_t head, const Floats& lanes, const Blocks& blocks) {
  const int64_t count = side.features.count;
  Floats lifted(blocks.padded_rows() * count);
  for (int64_t b = 0; b < blocks.count(); ++b) {
    kernels::tile_kernels().product({.a = side.row(0, head),
                                     .row_step = side.stride(),
                                     .b = {lanes.data() + blocks.begin(b) * side.width, blocks.lanes_of(b)},
                                     .c = {lifted.data() + blocks.begin(b) * count, blocks.lanes_of(b)},
                                     .rows = count,
                                     .depth = side.width,
                                     .columns = blocks.lanes_of(b)});
  }
  return lifted;
}

Floats lower(const Factors& side, int64_t head, const Floats& lifted, const Blocks& blocks) {
  const int64_t count = side.features.count;
  Floats lanes(blocks.padded_rows() * side.width);
  for (int64_t b = 0; b < blocks.count(); ++b) {
    kernels::tile_kernels().product({.a = side.row(0, head),
                                     .row_step = 1,
                                     .depth_step = side.stride(),
                                     .b = {lifted.data() + blocks.begin(b) * count, blocks.lanes_of(b)},
                                     .c = {lanes.data() + blocks.begin(b) * side.width, blocks.lanes_of(b)},
                                     .rows = side.width,
                                     .depth = count,
                                     .columns = blocks.lanes_of(b)});
  }
  return lanes;
}

void add_products(const Factors& side, int64_t head, const Floats& lifted, const Floats& rows, const Blocks& blocks,
                  const at::Tensor& grad_rows) {
  const int64_t count = side.features.count, pitch = side.head_pitch;
  for (int64_t b = 0; b < blocks.count(); ++b) {
    kernels::tile_kernels().product({.a = lifted.data() + blocks.begin(b) * count,
                                     .row_step = blocks.lanes_of(b),
                                     .b = {rows.data() + blocks.begin(b) * pitch, pitch},
                                     .c = {grad_rows.data_ptr<float>() + head * pitch, side.stride()},
                                     .rows = count,
                                     .depth = blocks.rows_of(b),
                                     .columns = pitch,
                                     .add = true});
  }
}

}  // namespace perceive::ops::cpu
