// Products of float32 in parts; small ones, and such with NaN or infinities, as on AVX-512.
#include <algorithm>

#include "perceive/kernels/cpu/amx/parts.h"
#include "perceive/kernels/cpu/tables.h"

namespace perceive::kernels::PERCEIVE_ISA {
namespace {

constexpr int64_t kDeepest = 512;  // of a layer: its rows stay in the second cache beside b

// c, 32 x 32 at most, from the square.
void put_square(const Product& p, int64_t row, int64_t column) {
  const int64_t rows = std::min(kStep, p.rows - row);
  const bool wide = p.columns - column > kWidth;
  float* to = p.c.data + row * p.c.stride + column;
  if (!p.add && rows == kStep) return store_square(to, p.c.stride, wide);
  alignas(64) float sums[kPart];
  store_square(sums, kStep, wide);
  for (int64_t r = 0; r < rows; ++r, to += p.c.stride) {
    for (int64_t c = 0; c < (wide ? kStep : kWidth); c += kWidth) {
      const Register sum = load(sums + r * kStep + c);
      store(to + c, p.add ? sum + load(to + c) : sum);
    }
  }
}

// False where some number is not finite; then nothing has happened.
bool multiply(const Product& p) {
  thread_local Space a_space, b_space;
  const int64_t steps = bf16_steps(p.depth);
  uint16_t* const a = a_space.take(parts_size(p.rows, p.depth));
  uint16_t* const b = b_space.take(parts_size(p.columns, p.depth));
  const bool along = p.depth_step == 1;
  if (!split_pairs(p.b, p.depth, p.columns, b)) return false;
  if (!(along ? split_rows({p.a, p.row_step}, p.rows, p.depth, a)
              : split_columns({p.a, p.depth_step}, p.rows, p.depth, a))) {
    return false;
  }
  const Tiles tiles;
  for (int64_t row = 0; row < p.rows; row += kStep) {
    for (int64_t column = 0; column < p.columns; column += kStep) {
      zero_square();
      for (int64_t s = 0; s < steps; ++s) {
        multiply_blocks(a + (row / kStep * steps + s) * kBlock, b + (column / kStep * steps + s) * kBlock,
                        p.columns - column > kWidth);
      }
      put_square(p, row, column);
    }
  }
  return true;
}

}  // namespace

void product(const Product& whole) {
  constexpr int64_t kLeast = 24;
  Product p = whole;
  if (p.rows < kLeast || p.depth < kLeast || p.columns < kLeast) return avx512::tile_table().product(p);
  for (int64_t left = whole.depth; left > 0; left -= kDeepest) {
    p.depth = std::min(left, kDeepest);
    if (!multiply(p)) avx512::tile_table().product(p);
    p.a += p.depth * p.depth_step;
    p.b.data += p.depth * p.b.stride;
    p.add = true;
  }
}

bool split_to_rows(const ConstRows& numbers, int64_t rows, int64_t depth, uint16_t* parts) {
  return split_rows(numbers, rows, depth, parts);
}
bool split_to_columns(const ConstRows& numbers, int64_t rows, int64_t depth, uint16_t* parts) {
  return split_columns(numbers, rows, depth, parts);
}

}  // namespace perceive::kernels::PERCEIVE_ISA
