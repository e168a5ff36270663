// Tiles of bfloat16 in place, or in whole steps.
#include "perceive/ops/cpu/bf16_keys.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace perceive::ops::cpu {
namespace {

constexpr int64_t kStep = kernels::Bf16Keys::kStep;

struct Bf16Rows {
  const uint16_t* data;
  int64_t stride;
};

// The rows of a tile: in place where that is contiguous and made of whole `row_step` rows and `column_step` columns,
// else in scratch, with zeros up to those.
Bf16Rows read_rows(const Matrix& matrix, const Tile& tile, int64_t row_step, int64_t column_step,
                   Numbers<uint16_t>& scratch) {
  const int64_t count = tile.keys(), width = matrix.width;
  const auto* const first =
      reinterpret_cast<const uint16_t*>(matrix.tensor.const_data_ptr<at::BFloat16>()) + matrix.offset;
  const bool whole = count % row_step == 0 && width % column_step == 0;
  if (whole && tile.contiguous && (matrix.column_stride == 1 || width == 1)) {
    return {first + tile.index.front() * matrix.row_stride, matrix.row_stride};
  }
  const int64_t pitch = padded(width, column_step);
  scratch.assign(padded(count, row_step) * pitch, 0);
  for (int64_t j = 0; j < count; ++j) {
    const uint16_t* const from = first + tile.index[j] * matrix.row_stride;
    uint16_t* const to = scratch.data() + j * pitch;
    if (matrix.column_stride == 1) {
      std::copy_n(from, width, to);
    } else {
      for (int64_t d = 0; d < width; ++d) to[d] = from[d * matrix.column_stride];
    }
  }
  return {scratch.data(), pitch};
}

const uint16_t* pack(const Bf16Rows& rows, int64_t keys, int64_t width, Numbers<uint16_t>& packed) {
  packed.resize(kernels::packed_values(keys, width));
  kernels::tile_kernels().pack_values(rows.data, rows.stride, keys, width, packed.data());
  return packed.data();
}

}  // namespace

void Bf16Reader::read(int64_t item, Tile& tile) {
  const bool both = pass_ == Pass::backward;
  const int64_t step = both ? kStep : 1;
  const auto k = read_rows(head_of(shape_, k_, item), tile, kStep, kStep, k_scratch_);
  const auto v = read_rows(head_of(shape_, v_, item), tile, step, step, v_scratch_);
  keys_ = {.k = k.data,
           .stride = k.stride,
           .v = both ? nullptr : pack(v, tile.keys(), shape_.value_width, v_packed_),
           .k_packed = both ? pack(k, tile.keys(), shape_.key_width, k_packed_) : nullptr,
           .v_rows = v.data,
           .v_stride = v.stride};
  tile.head.resize(1);
  tile.head[0] = {
      .bf16 = &keys_, .keys = tile.keys(), .key_width = shape_.key_width, .value_width = shape_.value_width};
}

std::array<kernels::Ahead, 2> Bf16Reader::ahead(int64_t item, const Range& keys) const {
  return {ahead_rows(head_of(shape_, k_, item), keys), ahead_rows(head_of(shape_, v_, item), keys)};
}

}  // namespace perceive::ops::cpu
