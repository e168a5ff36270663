// Rows to lanes and back.
#include "perceive/ops/cpu/rows.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "perceive/kernels/rows.h"

namespace perceive::ops::cpu {

int64_t HeadLayout::offset(int64_t item, int64_t head, int64_t row) const {
  return shape_.batch_of(item) * strides_[0] + shape_.head_of(shape_.key_head_of(item, head), row) * strides_[1] +
         shape_.query_of(row) * strides_[2];
}

template <class Body>
void HeadLayout::for_runs(int64_t item, int64_t head, const Range& rows, Body&& body) const {
  for (int64_t r = rows.begin; r < rows.end;) {
    const int64_t count = std::min(rows.end - r, shape_.queries - shape_.query_of(r));
    body(r - rows.begin, count, offset(item, head, r));
    r += count;
  }
}

HeadRows::HeadRows(const Shape& shape, const at::Tensor& tensor)
    : HeadLayout(shape, tensor.scalar_type() == at::kFloat && tensor.stride(3) == 1
                            ? tensor
                            : tensor.to(at::kFloat).contiguous()),
      data_(tensor_.data_ptr<float>()) {}

void HeadRows::to_lanes(int64_t item, int64_t head, const Range& rows, const Blocks& blocks, float factor,
                        Floats& lanes) const {
  lanes.resize(blocks.padded_rows() * width_);
  for (int64_t b = 0; b < blocks.count(); ++b) {
    float* const block = lanes.data() + blocks.begin(b) * width_;
    if (blocks.rows_of(b) < blocks.lanes_of(b)) std::fill_n(block, blocks.lanes_of(b) * width_, 0.0F);
    const int64_t begin = rows.begin + blocks.begin(b);
    for_runs(item, head, {begin, begin + blocks.rows_of(b)}, [&](int64_t first, int64_t count, int64_t from) {
      kernels::row_kernels().transpose(data_ + from, strides_[2], count, width_, factor, block + first,
                                       blocks.lanes_of(b));
    });
  }
}

void HeadRows::from_lanes(int64_t item, int64_t head, const Range& rows, const Blocks& blocks, const Floats& lanes,
                          float factor) const {
  for (int64_t b = 0; b < blocks.count(); ++b) {
    const float* const block = lanes.data() + blocks.begin(b) * width_;
    const int64_t begin = rows.begin + blocks.begin(b);
    for_runs(item, head, {begin, begin + blocks.rows_of(b)}, [&](int64_t first, int64_t count, int64_t to) {
      kernels::row_kernels().transpose(block + first, blocks.lanes_of(b), width_, count, factor, data_ + to,
                                       strides_[2]);
    });
  }
}

void HeadRows::to_rows(int64_t item, int64_t head, const Range& rows, int64_t pitch, float factor,
                       Floats& result) const {
  result.resize(rows.size() * pitch);
  if (width_ < pitch) std::fill(result.begin(), result.end(), 0.0F);
  for_runs(item, head, rows, [&](int64_t first, int64_t count, int64_t from) {
    for (int64_t r = 0; r < count; ++r) {
      kernels::row_kernels().normalise(data_ + from + r * strides_[2], width_, 0.0F, factor,
                                       result.data() + (first + r) * pitch);
    }
  });
}

Bf16HeadRows::Bf16HeadRows(const Shape& shape, const at::Tensor& tensor)
    : HeadLayout(shape, tensor), data_(reinterpret_cast<uint16_t*>(tensor_.data_ptr<at::BFloat16>())) {}

void Bf16HeadRows::to_pairs(int64_t item, int64_t head, const Range& rows, const Blocks& blocks, Pairs& pairs) const {
  pairs.assign(blocks.padded_rows() * pair_rows(width_), 0);
  for (int64_t b = 0; b < blocks.count(); ++b) {
    uint32_t* const block = pairs.data() + blocks.begin(b) * pair_rows(width_);
    const int64_t begin = rows.begin + blocks.begin(b);
    for_runs(item, head, {begin, begin + blocks.rows_of(b)}, [&](int64_t first, int64_t count, int64_t from) {
      kernels::tile_kernels().pack_queries(data_ + from, strides_[2], count, width_, block + first, blocks.lanes_of(b));
    });
  }
}

void Bf16HeadRows::to_row_pairs(int64_t item, int64_t head, const Range& rows, const Blocks& blocks,
                                Pairs& pairs) const {
  const int64_t pitch = 2 * pair_rows(width_);
  pairs.assign(padded(blocks.rows, 2 * kernels::Bf16Keys::kStep) / 2 * pitch, 0);
  for_runs(item, head, rows, [&](int64_t first, int64_t count, int64_t from) {
    for (int64_t r = 0; r < count; ++r) {
      const uint16_t* const row = data_ + from + r * strides_[2];
      uint32_t* const to = pairs.data() + (first + r) / 2 * pitch;
      const int shift = (first + r) % 2 * 16;
      for (int64_t d = 0; d < width_; ++d) to[d] |= static_cast<uint32_t>(row[d]) << shift;
    }
  });
}

void Bf16HeadRows::from_lanes(int64_t item, int64_t head, const Range& rows, const Blocks& blocks,
                              const Floats& lanes) const {
  Floats block(blocks.lanes * width_);
  for (int64_t b = 0; b < blocks.count(); ++b) {
    const auto& kernels = kernels::row_kernels();
    kernels.transpose(lanes.data() + blocks.begin(b) * width_, blocks.lanes_of(b), width_, blocks.rows_of(b), 1.0F,
                      block.data(), width_);
    const int64_t begin = rows.begin + blocks.begin(b);
    for_runs(item, head, {begin, begin + blocks.rows_of(b)}, [&](int64_t first, int64_t count, int64_t to) {
      for (int64_t r = 0; r < count; ++r) {
        kernels.narrow(block.data() + (first + r) * width_, width_, data_ + to + r * strides_[2]);
      }
    });
  }
}

}  // namespace perceive::ops::cpu
