// float32 in tiles of registers, which multiply bfloat16: a number is the sum of three bfloat16, each one's digits cut
// off the rest, and of the nine products of two numbers' parts the six largest are taken. What is left out is smaller
// than float32's own rounding (Henry, Tang, Heinecke 2019, "Leveraging the bfloat16 artificial intelligence datatype
// for higher-precision computations").
#pragma once

#include <cstdlib>
#include <memory>

#include "perceive/kernels/cpu/amx/tiles.h"
#include "perceive/kernels/cpu/amx/transpose.h"
#include "perceive/kernels/cpu/vectors.h"
#include "perceive/kernels/tile.h"

namespace perceive::kernels::PERCEIVE_ISA {

inline constexpr int64_t kParts = SplitKeys::kParts, kStep = Bf16Keys::kStep;
inline constexpr int64_t kPart = kStep * kStep;    // numbers of one part of a block
inline constexpr int64_t kBlock = kParts * kPart;  // of a block of 32 x 32

struct Parts {
  __m512i part[kParts];  // upper halves
};
inline Parts parts_of(Register x) {
  const __m512i upper = _mm512_set1_epi32(static_cast<int>(0xFFFF0000U));
  Parts parts;
  parts.part[0] = _mm512_and_si512(reinterpret_cast<__m512i>(x), upper);
  x -= reinterpret_cast<Register>(parts.part[0]);
  parts.part[1] = _mm512_and_si512(reinterpret_cast<__m512i>(x), upper);
  parts.part[2] = reinterpret_cast<__m512i>(x - reinterpret_cast<Register>(parts.part[1]));
  return parts;
}
// The upper halves of two vectors: pair by pair, the first one's below; or the first one's and then the second one's.
inline __m512i pair_halves(__m512i first, __m512i second) {
  return _mm512_mask_blend_epi16(0xAAAAAAAAU, _mm512_srli_epi32(first, 16), second);
}
inline __m512i row_halves(__m512i first, __m512i second) {
  const __m512i odd = _mm512_set_epi16(63, 61, 59, 57, 55, 53, 51, 49, 47, 45, 43, 41, 39, 37, 35, 33, 31, 29, 27, 25,
                                       23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1);
  return _mm512_permutex2var_epi16(first, odd, second);
}

// Puts 16 columns from `column` on of two rows, pair `pair` of a block of b's.
inline void put_pairs(const Parts& first, const Parts& second, int64_t pair, int64_t column, uint16_t* block) {
  for (int64_t p = 0; p < kParts; ++p) {
    _mm512_store_si512(block + p * kPart + column * kStep + pair * kStep, pair_halves(first.part[p], second.part[p]));
  }
}
// Puts row `row` of a block of a's.
inline void put_row(const Parts& first, const Parts& second, int64_t row, uint16_t* block) {
  for (int64_t p = 0; p < kParts; ++p) {
    _mm512_store_si512(block + p * kPart + row * kStep, row_halves(first.part[p], second.part[p]));
  }
}

// Puts half of a block: rows of pairs, transposed.
inline void put_transposed(Integers (&pairs)[kParts][kWidth], int64_t half, uint16_t* block) {
  for (int64_t p = 0; p < kParts; ++p) {
    transpose(pairs[p]);
    for (int64_t i = 0; i < kWidth; ++i) {
      _mm512_store_si512(block + p * kPart + (half + i) * kStep, reinterpret_cast<__m512i>(pairs[p][i]));
    }
  }
}

// Numbers read within their bounds, zero beyond; and whether all are finite.
class Reader {
 public:
  Register operator()(const float* p, int64_t count) {
    const __mmask16 there = count >= kWidth ? 0xFFFF : count > 0 ? (1U << count) - 1 : 0;
    const auto x = reinterpret_cast<Register>(_mm512_maskz_loadu_ps(there, p));
    seen_ |= _mm512_fpclass_ps_mask(x, 0x99);  // NaN and infinity
    return x;
  }
  bool finite() const { return seen_ == 0; }

 private:
  __mmask16 seen_ = 0;
};

inline bool finite(const ConstRows& numbers, int64_t rows, int64_t columns) {
  Reader read;
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < columns; c += kWidth) read(numbers.data + r * numbers.stride + c, columns - c);
  }
  return read.finite();
}

// To blocks of a's: 32 rows each, then 32 of the depth; a's rows are those of `numbers`.
inline bool split_rows(const ConstRows& numbers, int64_t rows, int64_t depth, uint16_t* to) {
  Reader read;
  for (int64_t row = 0; row < rows; row += kStep) {
    for (int64_t d = 0; d < depth; d += kStep, to += kBlock) {
      for (int64_t r = 0; r < kStep; ++r) {
        const int64_t left = row + r < rows ? depth - d : 0;
        const float* const from = numbers.data + (row + r) * numbers.stride + d;
        const Parts first = parts_of(read(from, left));
        put_row(first, parts_of(read(from + kWidth, left - kWidth)), r, to);
      }
    }
  }
  return read.finite();
}

// The same, with a's rows the columns of `numbers` [depth, rows].
inline bool split_columns(const ConstRows& numbers, int64_t rows, int64_t depth, uint16_t* to) {
  Reader read;
  for (int64_t row = 0; row < rows; row += kStep) {
    for (int64_t d = 0; d < depth; d += kStep, to += kBlock) {
      for (int64_t half = 0; half < kStep; half += kWidth) {
        alignas(64) Integers pairs[kParts][kWidth];
        for (int64_t i = 0; i < kWidth; ++i) {
          const int64_t k = d + 2 * i, left = rows - row - half;
          const float* const from = numbers.data + k * numbers.stride + row + half;
          const Parts x = parts_of(read(from, k < depth ? left : 0));
          const Parts y = parts_of(read(from + numbers.stride, k + 1 < depth ? left : 0));
          for (int64_t p = 0; p < kParts; ++p) {
            pairs[p][i] = reinterpret_cast<Integers>(pair_halves(x.part[p], y.part[p]));
          }
        }
        put_transposed(pairs, half, to);
      }
    }
  }
  return read.finite();
}

// To blocks of b's: 32 columns each, then 32 of the depth; of numbers [depth, columns].
inline bool split_pairs(const ConstRows& numbers, int64_t depth, int64_t columns, uint16_t* to) {
  Reader read;
  for (int64_t column = 0; column < columns; column += kStep) {
    for (int64_t d = 0; d < depth; d += kStep, to += kBlock) {
      for (int64_t i = 0; i < kStep / 2; ++i) {
        const int64_t k = d + 2 * i;
        for (int64_t half = 0; half < kStep; half += kWidth) {
          const int64_t left = columns - column - half;
          const float* const from = numbers.data + k * numbers.stride + column + half;
          const Parts first = parts_of(read(from, k < depth ? left : 0));
          put_pairs(first, parts_of(read(from + numbers.stride, k + 1 < depth ? left : 0)), i, half, to);
        }
      }
    }
  }
  return read.finite();
}

// The same, of numbers [columns, depth].
inline bool split_row_pairs(const ConstRows& numbers, int64_t depth, int64_t columns, uint16_t* to) {
  Reader read;
  for (int64_t column = 0; column < columns; column += kStep) {
    for (int64_t d = 0; d < depth; d += kStep, to += kBlock) {
      for (int64_t half = 0; half < kStep; half += kWidth) {
        alignas(64) Integers pairs[kParts][kWidth];
        for (int64_t i = 0; i < kWidth; ++i) {
          const int64_t row = column + half + i, left = row < columns ? depth - d : 0;
          const float* const from = numbers.data + row * numbers.stride + d;
          const Parts x = parts_of(read(from, left)), y = parts_of(read(from + kWidth, left - kWidth));
          for (int64_t p = 0; p < kParts; ++p) {
            pairs[p][i] = reinterpret_cast<Integers>(row_halves(x.part[p], y.part[p]));
          }
        }
        put_transposed(pairs, half, to);
      }
    }
  }
  return read.finite();
}

// Adds products of two blocks' parts to the square, one of kPartProducts; `wide` as there. All are to be added, in
// their order: tiles are left loaded from one to the next.
inline constexpr int64_t kPartProducts = 6;
inline void multiply_parts(const uint16_t* a, const uint16_t* b, int64_t product, bool wide) {
  const auto rows = [&](int64_t part) {
    load_tile<6>(a + part * kPart, 2 * kStep);
    load_tile<7>(a + part * kPart + kPart / 2, 2 * kStep);
  };
  const auto columns = [&](int64_t part) {
    load_tile<4>(b + part * kPart, 2 * kStep);
    if (wide) load_tile<5>(b + part * kPart + kPart / 2, 2 * kStep);
  };
  if (product == 0) rows(0), columns(2);
  if (product == 1) columns(1);
  if (product == 2) columns(0);
  if (product == 3) rows(1);
  if (product == 4) columns(1);
  if (product == 5) rows(2), columns(0);
  multiply_tiles<0, 6, 4>();
  multiply_tiles<2, 7, 4>();
  if (!wide) return;
  multiply_tiles<1, 6, 5>();
  multiply_tiles<3, 7, 5>();
}
inline void multiply_blocks(const uint16_t* a, const uint16_t* b, bool wide) {
#pragma GCC unroll 6
  for (int64_t product = 0; product < kPartProducts; ++product) multiply_parts(a, b, product, wide);
}

// Memory of this thread, kept from call to call.
class Space {
 public:
  uint16_t* take(int64_t count) {
    if (size_ < count) {
      memory_.reset(static_cast<uint16_t*>(std::aligned_alloc(64, count * sizeof(uint16_t))));  // whole blocks
      size_ = count;
    }
    return memory_.get();
  }

 private:
  struct Free {
    void operator()(void* p) const { std::free(p); }
  };
  std::unique_ptr<uint16_t, Free> memory_;
  int64_t size_ = 0;
};

}  // namespace perceive::kernels::PERCEIVE_ISA
