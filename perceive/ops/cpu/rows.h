// Queries, outputs and their gradients between tensors, where a row lies in one piece, and the kernels' lanes.
#pragma once

#include <ATen/core/Tensor.h>

#include "perceive/ops/cpu/work.h"

namespace perceive::ops::cpu {

// Where the rows of key heads lie in a tensor [B, H, N, width].
class HeadLayout {
 protected:
  HeadLayout(const Shape& shape, const at::Tensor& tensor)
      : shape_(shape),
        tensor_(tensor),
        strides_{tensor.stride(0), tensor.stride(1), tensor.stride(2)},
        width_(tensor.size(3)) {}

  int64_t offset(int64_t item, int64_t head, int64_t row) const;
  // body(first row, count, offset of the first) for runs of rows that lie at a constant distance.
  template <class Body>
  void for_runs(int64_t item, int64_t head, const Range& rows, Body&& body) const;

  const Shape& shape_;
  at::Tensor tensor_;
  int64_t strides_[3];
  int64_t width_;
};

// A float tensor as rows of key heads; other types are converted, whole.
class HeadRows : private HeadLayout {
 public:
  HeadRows(const Shape& shape, const at::Tensor& tensor);

  float* row(int64_t item, int64_t head, int64_t row) const { return data_ + offset(item, head, row); }
  // Blocks of lanes: [block][width][lanes], times factor, zero where a block has no row.
  void to_lanes(int64_t item, int64_t head, const Range& rows, const Blocks& blocks, float factor, Floats& lanes) const;
  void from_lanes(int64_t item, int64_t head, const Range& rows, const Blocks& blocks, const Floats& lanes,
                  float factor) const;
  // [rows][pitch], times factor, zero behind the width.
  void to_rows(int64_t item, int64_t head, const Range& rows, int64_t pitch, float factor, Floats& result) const;

 private:
  float* data_;
};

// A bfloat16 tensor as such, whose rows lie in one piece.
using Pairs = Numbers<uint32_t>;
inline int64_t pair_rows(int64_t width) {
  return kernels::bf16_steps(width) * kernels::Bf16Keys::kStep / 2;
}
class Bf16HeadRows : private HeadLayout {
 public:
  Bf16HeadRows(const Shape& shape, const at::Tensor& tensor);

  // Blocks of lanes: [block][pair_rows(width)][lanes], zero where there is no number.
  void to_pairs(int64_t item, int64_t head, const Range& rows, const Blocks& blocks, Pairs& pairs) const;
  // Neighbouring rows of a block: [block][lanes in whole steps / 2][width in whole steps]; blocks as far apart as pairs
  // of full ones.
  void to_row_pairs(int64_t item, int64_t head, const Range& rows, const Blocks& blocks, Pairs& pairs) const;
  void from_lanes(int64_t item, int64_t head, const Range& rows, const Blocks& blocks, const Floats& lanes) const;

 private:
  uint16_t* data_;
};

}  // namespace perceive::ops::cpu
