// Values to the rows of tiles, queries to their columns.
#include <algorithm>

#include "perceive/kernels/cpu/amx/pack.h"
#include "perceive/kernels/cpu/amx/transpose.h"
#include "perceive/kernels/cpu/tables.h"
#include "perceive/kernels/cpu/vectors.h"

namespace perceive::kernels::PERCEIVE_ISA {

// For every 32 keys and 32 of the width, 32 rows of the width, of 32 keys each; zero where there are none.
void pack_values(const uint16_t* v, int64_t stride, int64_t keys, int64_t width, uint16_t* packed) {
  constexpr int64_t kStep = Bf16Keys::kStep;
  const int64_t width_steps = bf16_steps(width);
  for (int64_t key = 0; key < keys; key += kStep) {
    for (int64_t d = 0; d < width_steps * kStep; d += 16) {
      const int64_t left = width - d;
      const __mmask16 columns = left >= 16 ? 0xFFFF : left > 0 ? (1U << left) - 1 : 0;
      const auto row = [&](int64_t j) {
        const __mmask16 seen = j < keys ? columns : 0;
        return _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(seen, v + j * stride + d));
      };
      Integers rows[16];
#pragma GCC unroll 16
      for (int p = 0; p < 16; ++p) {
        const __m512i second = _mm512_slli_epi32(row(key + 2 * p + 1), 16);
        rows[p] = reinterpret_cast<Integers>(_mm512_or_si512(row(key + 2 * p), second));
      }
      transpose(rows);
#pragma GCC unroll 16
      for (int r = 0; r < 16; ++r) _mm512_storeu_si512(packed + r * kStep, reinterpret_cast<__m512i>(rows[r]));
      packed += 16 * kStep;
    }
  }
}

void pack_queries(const uint16_t* q, int64_t stride, int64_t rows, int64_t width, uint32_t* pairs, int64_t lanes) {
  for (int64_t r = 0; r < rows; r += 16) {
    const __mmask16 seen = rows - r >= 16 ? 0xFFFF : (1U << (rows - r)) - 1;
    for (int64_t d = 0; d < width; d += 32) {
      const __mmask32 columns = width - d >= 32 ? 0xFFFFFFFFU : (1U << (width - d)) - 1;
      Integers square[16];
#pragma GCC unroll 16
      for (int i = 0; i < 16; ++i) {
        const __mmask32 here = r + i < rows ? columns : 0;
        square[i] = reinterpret_cast<Integers>(_mm512_maskz_loadu_epi16(here, q + (r + i) * stride + d));
      }
      transpose(square);
      const int64_t count = std::min<int64_t>(16, (width - d + 1) / 2);
#pragma GCC unroll 16
      for (int i = 0; i < 16; ++i) {
        if (i < count) {
          _mm512_mask_storeu_epi32(pairs + (d / 2 + i) * lanes + r, seen, reinterpret_cast<__m512i>(square[i]));
        }
      }
    }
  }
}

}  // namespace perceive::kernels::PERCEIVE_ISA
