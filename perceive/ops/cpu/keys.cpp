// Which keys a tile has, and given keys.
#include "perceive/ops/cpu/keys.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

namespace perceive::ops::cpu {
Visibility::Visibility(const Shape& shape, const at::Tensor& mask) : shape_(shape), mask_(mask) {
  if (!mask.defined()) return;
  key_mask_ = mask.size(1) == 1 && mask.size(2) == 1;
  pair_mask_ = !key_mask_;
  for (int64_t d = 0; d < 4; ++d) strides_[d] = mask.size(d) == 1 ? 0 : mask.stride(d);
}

void Visibility::keys(int64_t item, const Range& keys, Tile& tile) const {
  tile.index.clear();
  const bool* const row = key_mask_ ? mask_.const_data_ptr<bool>() + shape_.batch_of(item) * strides_[0] : nullptr;
  for (int64_t j = keys.begin; j < keys.end; ++j) {
    if (row == nullptr || row[j * strides_[3]]) tile.index.push_back(j);
  }
  tile.contiguous = static_cast<int64_t>(tile.index.size()) == keys.size();
}

Visibility::Seen Visibility::rows(int64_t item, int64_t head, const Tile& tile, const Range& rows, int64_t lanes,
                                  float* add) const {
  if (!differs_by_row()) return Seen::all;
  const auto count = static_cast<int64_t>(tile.index.size());
  const int64_t key_head = shape_.key_head_of(item, head);
  const int64_t offset = shape_.range.length - shape_.queries - shape_.range.first;
  const bool causal = shape_.scalars.causal;
  if (!pair_mask_) {
    int64_t earliest = shape_.queries, latest = -1;
    for (int64_t r = rows.begin; r < rows.end; ++r) {
      earliest = std::min(earliest, shape_.query_of(r));
      latest = std::max(latest, shape_.query_of(r));
    }
    if (tile.index.back() <= earliest + offset) return Seen::all;
    if (tile.index.front() > latest + offset) return Seen::none;
  }
  std::fill(add, add + count * lanes, 0.0F);
  bool any = false, hidden = false;
  for (int64_t r = rows.begin; r < rows.end; ++r) {
    const int64_t last = causal ? shape_.query_of(r) + offset : INT64_MAX;
    const bool* const row = pair_mask_
                                ? mask_.const_data_ptr<bool>() + shape_.batch_of(item) * strides_[0] +
                                      shape_.head_of(key_head, r) * strides_[1] + shape_.query_of(r) * strides_[2]
                                : nullptr;
    for (int64_t j = 0; j < count; ++j) {
      const bool seen = tile.index[j] <= last && (row == nullptr || row[tile.index[j] * strides_[3]]);
      if (!seen) add[j * lanes + (r - rows.begin)] = -INFINITY;
      any |= seen;
      hidden |= !seen;
    }
  }
  return !hidden ? Seen::all : any ? Seen::some : Seen::none;
}

kernels::ConstRows read_rows(const Matrix& matrix, const Tile& tile, Floats& scratch) {
  const int64_t count = tile.keys(), width = matrix.width;
  if (matrix.tensor.scalar_type() == at::kFloat && (matrix.column_stride == 1 || width == 1)) {
    // Selecting by tensor operations would cost more than a small tile's arithmetic.
    const float* const first = matrix.tensor.const_data_ptr<float>() + matrix.offset;
    if (tile.contiguous) return {first + tile.index.front() * matrix.row_stride, matrix.row_stride};
    scratch.resize(count * width);
    for (int64_t j = 0; j < count; ++j) {
      std::copy_n(first + tile.index[j] * matrix.row_stride, width, scratch.data() + j * width);
    }
    return {scratch.data(), width};
  }
  const int64_t begin = matrix.tensor.storage_offset() + matrix.offset + tile.index.front() * matrix.row_stride;
  const int64_t span = tile.index.back() + 1 - tile.index.front();
  auto wanted = matrix.tensor.as_strided({span, width}, {matrix.row_stride, matrix.column_stride}, begin);
  if (!tile.contiguous) wanted = wanted.index_select(0, at::tensor(tile.index) - tile.index.front());
  scratch.resize(wanted.numel());
  at::from_blob(scratch.data(), wanted.sizes(), at::kFloat).copy_(wanted);
  return {scratch.data(), width};
}

kernels::Ahead ahead_rows(const Matrix& matrix, const Range& rows) {
  const auto size = static_cast<int64_t>(matrix.tensor.element_size());
  if (matrix.column_stride != 1 || rows.size() <= 0) return {};
  const auto* const first = static_cast<const char*>(matrix.tensor.const_data_ptr());
  return {.row = first + (matrix.offset + rows.begin * matrix.row_stride) * size,
          .stride = matrix.row_stride * size,
          .bytes = matrix.width * size,
          .rows = rows.size()};
}

Matrix head_of(const Shape& shape, const at::Tensor& tensor, int64_t item) {
  return {tensor, shape.batch_of(item) * tensor.stride(0) + shape.key_head_of(item, 0) * tensor.stride(1),
          tensor.stride(2), tensor.stride(3), tensor.size(3)};
}

void GivenReader::read(int64_t item, Tile& tile) {
  tile.head.resize(1);
  tile.head[0] = {.k = read_rows(head_of(shape_, k_, item), tile, k_scratch_),
                  .v = read_rows(head_of(shape_, v_, item), tile, v_scratch_),
                  .keys = tile.keys(),
                  .key_width = shape_.key_width,
                  .value_width = shape_.value_width};
}

std::array<kernels::Ahead, 2> GivenReader::ahead(int64_t item, const Range& keys) const {
  return {ahead_rows(head_of(shape_, k_, item), keys), ahead_rows(head_of(shape_, v_, item), keys)};
}

}  // namespace perceive::ops::cpu
