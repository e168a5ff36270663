// Products of float32 in parts.
#include <algorithm>

#include "perceive/kernels/cpu/amx/parts.h"
#include "perceive/kernels/cpu/tables.h"

namespace perceive::kernels::PERCEIVE_ISA {
namespace {

// Of b, so much at a time stays in the second cache, and 32 rows of a beside it.
constexpr int64_t kDeepest = 384, kWidest = 384;

// c, 32 x 32 at most, from the square.
void put_square(const Matmul& p, int64_t row, int64_t column) {
  const int64_t rows = std::min(kStep, p.rows - row), columns = std::min(kStep, p.columns - column);
  const bool wide = columns > kWidth;
  float* to = p.c.data + row * p.c.stride + column;
  if (!p.add && rows == kStep && columns % kWidth == 0) return store_square(to, p.c.stride, wide);
  alignas(64) float sums[kPart];
  store_square(sums, kStep, wide);
  for (int64_t r = 0; r < rows; ++r, to += p.c.stride) {
    for (int64_t c = 0; c < columns; c += kWidth) {
      const __mmask16 there = columns - c >= kWidth ? 0xFFFF : (1U << (columns - c)) - 1;
      __m512 sum = _mm512_load_ps(sums + r * kStep + c);
      if (p.add) sum = _mm512_add_ps(sum, _mm512_maskz_loadu_ps(there, to + c));
      _mm512_mask_storeu_ps(to + c, there, sum);
    }
  }
}

// One panel of b.
bool multiply(const Matmul& p) {
  thread_local Space a_space, b_space;
  const int64_t steps = bf16_steps(p.depth);
  uint16_t* const b = b_space.take(parts_size(p.columns, p.depth));
  uint16_t* const a = a_space.take(parts_size(kStep, p.depth));
  if (!(p.column_step == 1 ? split_pairs({p.b, p.b_depth_step}, p.depth, p.columns, b)
                           : split_row_pairs({p.b, p.column_step}, p.depth, p.columns, b))) {
    return false;
  }
  const Tiles tiles;
  for (int64_t row = 0; row < p.rows; row += kStep) {
    const int64_t rows = std::min(kStep, p.rows - row);
    if (!(p.depth_step == 1 ? split_rows({p.a + row * p.row_step, p.row_step}, rows, p.depth, a)
                            : split_columns({p.a + row * p.row_step, p.depth_step}, rows, p.depth, a))) {
      return false;
    }
    for (int64_t column = 0; column < p.columns; column += kStep) {
      zero_square();
      for (int64_t s = 0; s < steps; ++s) {
        multiply_blocks(a + s * kBlock, b + (column / kStep * steps + s) * kBlock, p.columns - column > kWidth);
      }
      put_square(p, row, column);
    }
  }
  return true;
}

}  // namespace

bool matmul(const Matmul& whole) {
  Matmul panel = whole;
  for (int64_t column = 0; column < whole.columns; column += kWidest) {
    panel.columns = std::min(kWidest, whole.columns - column);
    panel.c.data = whole.c.data + column;
    panel.add = whole.add;
    for (int64_t depth = 0; depth < whole.depth; depth += kDeepest) {
      panel.depth = std::min(kDeepest, whole.depth - depth);
      panel.a = whole.a + depth * whole.depth_step;
      panel.b = whole.b + depth * whole.b_depth_step + column * whole.column_step;
      if (!multiply(panel)) return false;
      panel.add = true;
    }
  }
  return true;
}

// Small ones, and such with NaN or infinities, as on AVX-512.
void product(const Product& p) {
  constexpr int64_t kLeast = 24;
  const bool along = p.depth_step == 1;
  if (p.rows < kLeast || p.depth < kLeast || p.columns < kLeast ||
      !finite({p.a, along ? p.row_step : p.depth_step}, along ? p.rows : p.depth, along ? p.depth : p.rows) ||
      !finite(p.b, p.depth, p.columns)) {
    return avx512::tile_table().product(p);
  }
  matmul({.a = p.a,
          .row_step = p.row_step,
          .depth_step = p.depth_step,
          .b = p.b.data,
          .b_depth_step = p.b.stride,
          .c = p.c,
          .rows = p.rows,
          .depth = p.depth,
          .columns = p.columns,
          .add = p.add});
}

bool split_to_rows(const ConstRows& numbers, int64_t rows, int64_t depth, uint16_t* parts) {
  return split_rows(numbers, rows, depth, parts);
}
bool split_to_columns(const ConstRows& numbers, int64_t rows, int64_t depth, uint16_t* parts) {
  return split_columns(numbers, rows, depth, parts);
}

}  // namespace perceive::kernels::PERCEIVE_ISA
