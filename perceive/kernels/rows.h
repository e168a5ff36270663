// Loops over single rows of floats, compiled for each instruction set.
#pragma once

#include <cstdint>

namespace perceive::kernels {

// Keys of one row of weights whose positions have the same upper 32 bits (dropout.h).
struct DropoutRow {
  uint32_t first = 0;          // lower bits of the first position; they do not overflow
  uint32_t low = 0, high = 0;  // of the row's own hash, the upper bits mixed in
  uint32_t threshold = 0;      // hashes below it are dropped
  float kept = 1.0F;
};

struct RowKernels {
  // The mean of n numbers, and the sum of their squared deviations from it; 0 of none.
  void (*statistics)(const float* x, int64_t n, float& mean, float& deviation);
  // x = 1 / sqrt(x · factor + addend)
  void (*inverse_root)(float* x, int64_t n, float factor, float addend);
  // Whether all are.
  bool (*finite)(const float* x, int64_t n);
  float (*sum)(const float* x, int64_t n);
  // The sum of x · y.
  float (*dot)(const float* x, const float* y, int64_t n);
  // y = (x - shift) · factor
  void (*normalise)(const float* x, int64_t n, float shift, float factor, float* y);
  // x [rows][columns] *= factors [columns]
  void (*scale_columns)(float* x, int64_t rows, int64_t columns, const float* factors);
  // x = x · factors [columns] + y · y_factors [columns]; x and y [rows][columns]
  void (*combine_columns)(float* x, int64_t rows, int64_t columns, const float* factors, const float* y,
                          const float* y_factors);
  // y += x · factor
  void (*add)(const float* x, int64_t n, float factor, float* y);
  // y [columns][rows] = x [rows][columns]^T · factor; rows lie `stride` floats apart.
  void (*transpose)(const float* x, int64_t stride, int64_t rows, int64_t columns, float factor, float* y,
                    int64_t y_stride);
  // 0 or row.kept for each of the keys.
  void (*drop)(const DropoutRow& row, int64_t count, float* scale);
  // y = x as bfloat16, the bits; to nearest, ties to even.
  void (*narrow)(const float* x, int64_t n, uint16_t* y);
};

// For this machine, or as PERCEIVE_CPU says (kernels/tile.h).
const RowKernels& row_kernels();

}  // namespace perceive::kernels
