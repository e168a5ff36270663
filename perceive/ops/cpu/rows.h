// Queries, outputs and their gradients between tensors, where a row lies in one piece, and the kernels' lanes.
#pragma once

#include <ATen/core/Tensor.h>

#include "perceive/ops/cpu/work.h"

namespace perceive::ops::cpu {

// A [B, H, N, width] float tensor as rows of key heads; other types are converted, whole.
class HeadRows {
 public:
  HeadRows(const Shape& shape, const at::Tensor& tensor);

  float* row(int64_t item, int64_t head, int64_t row) const;
  // Blocks of lanes: [block][width][lanes], times factor, zero where a block has no row.
  void to_lanes(int64_t item, int64_t head, const Range& rows, const Blocks& blocks, float factor, Floats& lanes) const;
  void from_lanes(int64_t item, int64_t head, const Range& rows, const Blocks& blocks, const Floats& lanes,
                  float factor) const;
  // [rows][pitch], times factor, zero behind the width.
  void to_rows(int64_t item, int64_t head, const Range& rows, int64_t pitch, float factor, Floats& result) const;

 private:
  // body(first row, count, memory of the first) for runs of rows that lie at a constant distance.
  template <class Body>
  void for_runs(int64_t item, int64_t head, const Range& rows, Body&& body) const;

  const Shape& shape_;
  at::Tensor tensor_;
  float* data_;
  int64_t strides_[3];
  int64_t width_;
};

}  // namespace perceive::ops::cpu
