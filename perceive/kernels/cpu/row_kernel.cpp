// The loops of rows.h. One source, compiled once an instruction set.
#include "perceive/kernels/cpu/tables.h"
#include "perceive/kernels/cpu/vectors.h"

namespace perceive::kernels::PERCEIVE_ISA {
namespace {

void statistics(const float* x, int64_t n, float& mean, float& deviation) {
  if (n == 0) {
    mean = deviation = 0.0F;
    return;
  }
  if (n < kWidth) {
    float sum = 0.0F;
    for (int64_t i = 0; i < n; ++i) sum += x[i];
    mean = sum / static_cast<float>(n);
    deviation = 0.0F;
    for (int64_t i = 0; i < n; ++i) deviation += (x[i] - mean) * (x[i] - mean);
    return;
  }
  constexpr int kSums = 4;  // additions in flight
  Register sums[kSums] = {};
  int64_t i = 0;
  for (; i + kSums * kWidth <= n; i += kSums * kWidth) {
    for (int s = 0; s < kSums; ++s) sums[s] += load(x + i + s * kWidth);
  }
  for (; i + kWidth <= n; i += kWidth) sums[0] += load(x + i);
  float total = sum_of((sums[0] + sums[1]) + (sums[2] + sums[3]));
  for (; i < n; ++i) total += x[i];
  mean = total / static_cast<float>(n);
  const Register centre = broadcast(mean);
  for (auto& sum : sums) sum = Register{};
  for (i = 0; i + kSums * kWidth <= n; i += kSums * kWidth) {
    for (int s = 0; s < kSums; ++s) {
      const Register d = load(x + i + s * kWidth) - centre;
      sums[s] += d * d;
    }
  }
  for (; i + kWidth <= n; i += kWidth) {
    const Register d = load(x + i) - centre;
    sums[0] += d * d;
  }
  deviation = sum_of((sums[0] + sums[1]) + (sums[2] + sums[3]));
  for (; i < n; ++i) deviation += (x[i] - mean) * (x[i] - mean);
}

void inverse_root(float* x, int64_t n, float factor, float addend) {
  for (int64_t i = 0; i < n; ++i) x[i] = 1.0F / std::sqrt(x[i] * factor + addend);
}

bool finite(const float* x, int64_t n) {
  // x - x is 0 for finite numbers only.
  Register sum = {};
  int64_t i = 0;
  for (; i + kWidth <= n; i += kWidth) sum += load(x + i) - load(x + i);
  float total = sum_of(sum);
  for (; i < n; ++i) total += x[i] - x[i];
  return total == 0.0F;
}

float sum(const float* x, int64_t n) {
  Register sums = {};
  int64_t i = 0;
  for (; i + kWidth <= n; i += kWidth) sums += load(x + i);
  float total = sum_of(sums);
  for (; i < n; ++i) total += x[i];
  return total;
}

float dot(const float* x, const float* y, int64_t n) {
  Register sums[2] = {};
  int64_t i = 0;
  for (; i + 2 * kWidth <= n; i += 2 * kWidth) {
    sums[0] += load(x + i) * load(y + i);
    sums[1] += load(x + i + kWidth) * load(y + i + kWidth);
  }
  for (; i + kWidth <= n; i += kWidth) sums[0] += load(x + i) * load(y + i);
  float total = sum_of(sums[0] + sums[1]);
  for (; i < n; ++i) total += x[i] * y[i];
  return total;
}

void normalise(const float* x, int64_t n, float shift, float factor, float* y) {
  int64_t i = 0;
  for (; i + kWidth <= n; i += kWidth) store(y + i, (load(x + i) - shift) * factor);
  for (; i < n; ++i) y[i] = (x[i] - shift) * factor;
}

void scale_columns(float* x, int64_t rows, int64_t columns, const float* factors) {
  for (int64_t r = 0; r < rows; ++r, x += columns) {
    int64_t c = 0;
    for (; c + kWidth <= columns; c += kWidth) store(x + c, load(x + c) * load(factors + c));
    for (; c < columns; ++c) x[c] *= factors[c];
  }
}

void combine_columns(float* x, int64_t rows, int64_t columns, const float* factors, const float* y,
                     const float* y_factors) {
  for (int64_t r = 0; r < rows; ++r, x += columns, y += columns) {
    int64_t c = 0;
    for (; c + kWidth <= columns; c += kWidth) {
      store(x + c, load(x + c) * load(factors + c) + load(y + c) * load(y_factors + c));
    }
    for (; c < columns; ++c) x[c] = x[c] * factors[c] + y[c] * y_factors[c];
  }
}

void add(const float* x, int64_t n, float factor, float* y) {
  int64_t i = 0;
  for (; i + kWidth <= n; i += kWidth) store(y + i, load(y + i) + load(x + i) * factor);
  for (; i < n; ++i) y[i] += x[i] * factor;
}

// A square of kWidth rows in registers: log2(kWidth) rounds that interleave row i with row i + kWidth / 2.
void transpose_square(const float* x, int64_t stride, float factor, float* y, int64_t y_stride) {
  Integers low, high;
  for (int i = 0; i < kWidth; ++i) {
    low[i] = i / 2 + (i % 2) * kWidth;
    high[i] = low[i] + kWidth / 2;
  }
  Register rows[kWidth], mixed[kWidth];
#pragma GCC unroll 16
  for (int r = 0; r < kWidth; ++r) rows[r] = load(x + r * stride) * factor;
#pragma GCC unroll 4
  for (int round = 1; round < kWidth; round *= 2) {
#pragma GCC unroll 8
    for (int r = 0; r < kWidth / 2; ++r) {
      mixed[2 * r] = __builtin_shuffle(rows[r], rows[r + kWidth / 2], low);
      mixed[2 * r + 1] = __builtin_shuffle(rows[r], rows[r + kWidth / 2], high);
    }
#pragma GCC unroll 16
    for (int r = 0; r < kWidth; ++r) rows[r] = mixed[r];
  }
#pragma GCC unroll 16
  for (int r = 0; r < kWidth; ++r) store(y + r * y_stride, rows[r]);
}

void transpose(const float* x, int64_t stride, int64_t rows, int64_t columns, float factor, float* y,
               int64_t y_stride) {
  const int64_t whole_rows = rows / kWidth * kWidth, whole_columns = columns / kWidth * kWidth;
  for (int64_t r = 0; r < whole_rows; r += kWidth) {
    for (int64_t c = 0; c < whole_columns; c += kWidth) {
      transpose_square(x + r * stride + c, stride, factor, y + c * y_stride + r, y_stride);
    }
  }
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = r < whole_rows ? whole_columns : 0; c < columns; ++c)
      y[c * y_stride + r] = x[r * stride + c] * factor;
  }
}

using Unsigned = uint32_t __attribute__((vector_size(kWidth * 4)));

// The finaliser of MurmurHash3 (Appleby, public domain): every input bit reaches every output bit.
Unsigned mix(Unsigned x) {
  x = (x ^ (x >> 16)) * 0x85ebca6bU;
  x = (x ^ (x >> 13)) * 0xc2b2ae35U;
  return x ^ (x >> 16);
}

void drop(const DropoutRow& row, int64_t count, float* scale) {
  Unsigned position;
  for (int i = 0; i < kWidth; ++i) position[i] = row.first + static_cast<uint32_t>(i);
  for (int64_t j = 0; j < count; j += kWidth, position += kWidth) {
    const Unsigned hash = mix(mix(position ^ row.low) + row.high);
    const Register kept = hash < row.threshold ? Register{} : broadcast(row.kept);
    if (j + kWidth <= count) {
      store(scale + j, kept);
    } else {
      for (int64_t i = 0; j + i < count; ++i) scale[j + i] = kept[i];
    }
  }
}

using Halves = uint16_t __attribute__((vector_size(kWidth * 2), aligned(2)));

Halves halves(Register x) {
  const auto bits = reinterpret_cast<Unsigned>(x);
  const Unsigned rounded = bits + 0x7FFF + ((bits >> 16) & 1);
  const Unsigned kept = x == x ? rounded : bits | 0x400000;  // a NaN would round to something else
  return __builtin_convertvector(kept >> 16, Halves);
}

void narrow(const float* x, int64_t n, uint16_t* y) {
  int64_t i = 0;
  for (; i + kWidth <= n; i += kWidth) *reinterpret_cast<Halves*>(y + i) = halves(load(x + i));
  for (; i < n; ++i) y[i] = halves(broadcast(x[i]))[0];
}

}  // namespace

const RowKernels& row_table() {
  static constexpr RowKernels kTable = {statistics,    inverse_root,    finite, sum,       dot,  normalise,
                                        scale_columns, combine_columns, add,    transpose, drop, narrow};
  return kTable;
}

}  // namespace perceive::kernels::PERCEIVE_ISA
