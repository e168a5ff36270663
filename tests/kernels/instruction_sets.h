// Tests of the kernels that run once an instruction set, and the exactly sized arrays they work on.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "perceive/kernels/cpu/tables.h"

namespace perceive::kernels::testing {

inline std::vector<Tables> present_tables() {
  std::vector<Tables> present;
  for (const Tables& tables : all_tables()) {
    if (tables.present) present.push_back(tables);
  }
  return present;
}

class KernelTest : public ::testing::TestWithParam<Tables> {
 protected:
  const TileKernels& tile() const { return GetParam().tile; }
  const RowKernels& row() const { return GetParam().row; }
  const PeakLoops& peak() const { return GetParam().peak; }
  int64_t padded(int64_t columns) const { return (columns + tile().width - 1) / tile().width * tile().width; }
  std::vector<int64_t> lane_counts() const {
    std::vector<int64_t> counts;
    for (int64_t lanes = tile().width; lanes <= tile().lanes; lanes += tile().width) counts.push_back(lanes);
    return counts;
  }
  // Numbers in [low, high).
  float number(float low = -1.0F, float high = 1.0F) {
    return low + (high - low) * static_cast<float>(random_() >> 8) * 0x1p-24F;
  }
  std::vector<float> numbers(int64_t count, float low = -1.0F, float high = 1.0F) {
    std::vector<float> made(count);
    for (float& x : made) x = number(low, high);
    return made;
  }

 private:
  std::mt19937 random_{17};
};

// The tests of a suite derived from KernelTest, one by one for each instruction set of this CPU.
#define PERCEIVE_KERNEL_TESTS(suite)                                                   \
  INSTANTIATE_TEST_SUITE_P(Cpu, suite, ::testing::ValuesIn(testing::present_tables()), \
                           [](const auto& info) { return std::string(info.param.name); })

// Rows that lie further apart than they are wide. The last ends with its last column: an overrun leaves the array.
struct Matrix {
  int64_t rows = 0, columns = 0, stride = 0;
  std::vector<float> data;

  Matrix() = default;
  Matrix(int64_t rows, int64_t columns, int64_t stride)
      : rows(rows), columns(columns), stride(stride), data(rows > 0 ? (rows - 1) * stride + columns : 0) {}
  float& at(int64_t r, int64_t c) { return data[r * stride + c]; }
  float at(int64_t r, int64_t c) const { return data[r * stride + c]; }
  ConstRows read() const { return {data.data(), stride}; }
  Rows write() { return {data.data(), stride}; }
};

// The largest difference, relative to the largest number expected where that is above 1.
inline double difference(const std::vector<float>& actual, const std::vector<double>& expected) {
  if (actual.size() != expected.size()) return INFINITY;
  double largest = 1.0, apart = 0.0;
  for (size_t i = 0; i < actual.size(); ++i) {
    const double d = std::abs(actual[i] - expected[i]);
    if (std::isnan(d)) return INFINITY;
    apart = std::max(apart, d);
    largest = std::max(largest, std::abs(expected[i]));
  }
  return apart / largest;
}

}  // namespace perceive::kernels::testing
