// Rows of pairs to columns.
#pragma once

#include "perceive/kernels/cpu/vectors.h"

namespace perceive::kernels::PERCEIVE_ISA {

// [16][16] pairs, of 32 bits each: four rounds that interleave row i with row i + 8.
inline void transpose(Integers (&rows)[16]) {
  Integers low, high, mixed[16];
  for (int i = 0; i < 16; ++i) {
    low[i] = i / 2 + i % 2 * 16;
    high[i] = low[i] + 8;
  }
#pragma GCC unroll 4
  for (int round = 0; round < 4; ++round) {
#pragma GCC unroll 8
    for (int r = 0; r < 8; ++r) {
      mixed[2 * r] = __builtin_shuffle(rows[r], rows[r + 8], low);
      mixed[2 * r + 1] = __builtin_shuffle(rows[r], rows[r + 8], high);
    }
#pragma GCC unroll 16
    for (int r = 0; r < 16; ++r) rows[r] = mixed[r];
  }
}

}  // namespace perceive::kernels::PERCEIVE_ISA
