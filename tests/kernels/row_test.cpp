// The loops over single rows, and those of the peak, for every length around the vectors' own.
#include <gtest/gtest.h>

#include <bit>

#include "tests/kernels/instruction_sets.h"

namespace perceive::kernels {
namespace {

using testing::difference;
using testing::Matrix;

constexpr int64_t kLongest = 131;

class RowTest : public testing::KernelTest {
 protected:
  template <class Body>
  static void for_lengths(int64_t first, const Body& body) {
    for (int64_t n = first; n <= kLongest; ++n) {
      SCOPED_TRACE(::testing::Message() << "length " << n);
      body(n);
    }
  }
};

TEST_P(RowTest, Statistics) {
  for_lengths(1, [&](int64_t n) {
    const auto x = numbers(n, 2.0F, 5.0F);
    double mean = 0.0, deviation = 0.0;
    for (const float number : x) mean += number / static_cast<double>(n);
    for (const float number : x) deviation += (number - mean) * (number - mean);
    float got_mean = NAN, got_deviation = NAN;
    row().statistics(x.data(), n, got_mean, got_deviation);
    EXPECT_NEAR(got_mean, mean, 1e-5);
    EXPECT_NEAR(got_deviation, deviation, 1e-5 * (1.0 + deviation));
  });
}

TEST_P(RowTest, InverseRoot) {
  for_lengths(0, [&](int64_t n) {
    auto x = numbers(n, 0.0F, 3.0F);
    std::vector<double> expected;
    for (const float number : x) expected.push_back(1.0 / std::sqrt(number * 0.5 + 0.25));
    row().inverse_root(x.data(), n, 0.5F, 0.25F);
    EXPECT_LT(difference(x, expected), 1e-6);
  });
}

TEST_P(RowTest, Finite) {
  for_lengths(0, [&](int64_t n) {
    auto x = numbers(n);
    EXPECT_TRUE(row().finite(x.data(), n));
    for (int64_t i = 0; i < n; ++i) {
      for (const float bad : {INFINITY, -INFINITY, NAN}) {
        const float good = x[i];
        x[i] = bad;
        EXPECT_FALSE(row().finite(x.data(), n)) << i;
        x[i] = good;
      }
    }
  });
}

TEST_P(RowTest, SumAndDot) {
  for_lengths(0, [&](int64_t n) {
    const auto x = numbers(n), y = numbers(n);
    double sum = 0.0, dot = 0.0;
    for (int64_t i = 0; i < n; ++i) {
      sum += x[i];
      dot += static_cast<double>(x[i]) * y[i];
    }
    EXPECT_NEAR(row().sum(x.data(), n), sum, 1e-5);
    EXPECT_NEAR(row().dot(x.data(), y.data(), n), dot, 1e-5);
    EXPECT_NEAR(peak().read(x.data(), n), sum, 1e-5);
  });
}

TEST_P(RowTest, NormaliseAndAdd) {
  for_lengths(0, [&](int64_t n) {
    const auto x = numbers(n);
    auto y = numbers(n), z = std::vector<float>(n, NAN);
    std::vector<double> added, normalised;
    for (int64_t i = 0; i < n; ++i) {
      added.push_back(y[i] + x[i] * 1.75);
      normalised.push_back((x[i] - 0.25) * 3.0);
    }
    row().add(x.data(), n, 1.75F, y.data());
    row().normalise(x.data(), n, 0.25F, 3.0F, z.data());
    EXPECT_LT(difference(y, added), 1e-6);
    EXPECT_LT(difference(z, normalised), 1e-6);
  });
}

TEST_P(RowTest, ScaleColumns) {
  for_lengths(0, [&](int64_t columns) {
    auto x = numbers(3 * columns);
    const auto factors = numbers(columns);
    std::vector<double> expected;
    for (int64_t i = 0; i < 3 * columns; ++i) expected.push_back(static_cast<double>(x[i]) * factors[i % columns]);
    row().scale_columns(x.data(), 3, columns, factors.data());
    EXPECT_LT(difference(x, expected), 1e-6);
  });
}

TEST_P(RowTest, Drop) {
  const auto mix = [](uint32_t x) {
    x = (x ^ (x >> 16)) * 0x85ebca6bU;
    x = (x ^ (x >> 13)) * 0xc2b2ae35U;
    return x ^ (x >> 16);
  };
  const DropoutRow of{.first = UINT32_MAX - 40, .low = 123456789, .high = 987654321, .threshold = 1U << 30};
  for (const int64_t count : {0, 1, 15, 16, 17, 41}) {
    std::vector<float> expected, scale(count);
    for (int64_t j = 0; j < count; ++j) {
      const uint32_t position = of.first + static_cast<uint32_t>(j);
      expected.push_back(mix(mix(position ^ of.low) + of.high) < of.threshold ? 0.0F : of.kept);
    }
    row().drop(of, count, scale.data());
    EXPECT_EQ(scale, expected);
  }
}

TEST_P(RowTest, CombineColumns) {
  for_lengths(0, [&](int64_t columns) {
    auto x = numbers(3 * columns);
    const auto y = numbers(3 * columns), factors = numbers(columns), y_factors = numbers(columns);
    std::vector<double> expected;
    for (int64_t i = 0; i < 3 * columns; ++i) {
      expected.push_back(static_cast<double>(x[i]) * factors[i % columns] +
                         static_cast<double>(y[i]) * y_factors[i % columns]);
    }
    row().combine_columns(x.data(), 3, columns, factors.data(), y.data(), y_factors.data());
    EXPECT_LT(difference(x, expected), 1e-6);
  });
}

TEST_P(RowTest, Transpose) {
  for (const int64_t rows : {1, 3, 4, 8, 15, 16, 17, 37}) {
    for (const int64_t columns : {1, 4, 7, 8, 16, 31, 33}) {
      SCOPED_TRACE(::testing::Message() << rows << " x " << columns);
      Matrix x(rows, columns, columns + 3), y(columns, rows, rows + 2);
      x.data = numbers(static_cast<int64_t>(x.data.size()));
      y.data = numbers(static_cast<int64_t>(y.data.size()));
      std::vector<double> expected(y.data.begin(), y.data.end());
      for (int64_t r = 0; r < rows; ++r) {
        for (int64_t c = 0; c < columns; ++c) expected[c * y.stride + r] = x.at(r, c) * 0.5;
      }
      row().transpose(x.data.data(), x.stride, rows, columns, 0.5F, y.data.data(), y.stride);
      EXPECT_LT(difference(y.data, expected), 1e-7);
    }
  }
}

TEST_P(RowTest, Narrow) {
  // A half of the last digit goes to even; infinities and NaN stay what they are.
  const std::vector<float> x{1.0F,        0x1.01p0F, 0x1.03p0F, 0x1.010002p0F, -0x1.01p0F,
                             0x1.ffp127F, INFINITY,  -INFINITY, 0.0F};
  const std::vector<uint16_t> y{0x3F80, 0x3F80, 0x3F82, 0x3F81, 0xBF80, 0x7F80, 0x7F80, 0xFF80, 0};
  for (size_t count = 1; count <= 40; ++count) {
    std::vector<float> from(count);
    std::vector<uint16_t> to(count + 1, 7);
    for (size_t i = 0; i < count; ++i) from[i] = x[i % x.size()];
    row().narrow(from.data(), static_cast<int64_t>(count), to.data());
    for (size_t i = 0; i < count; ++i) EXPECT_EQ(to[i], y[i % y.size()]) << i;
    EXPECT_EQ(to[count], 7);
  }
  const float nan = std::bit_cast<float>(0x7FFFFFFF);
  uint16_t narrowed = 0;
  row().narrow(&nan, 1, &narrowed);
  EXPECT_TRUE(std::isnan(std::bit_cast<float>(static_cast<uint32_t>(narrowed) << 16)));
}

// x = x / 2 + 1 ends at 2, in every chain.
TEST_P(RowTest, PeakLoopsDoTheirWork) {
  EXPECT_GT(peak().multiply_add(100), 0.0F);
  EXPECT_EQ(peak().multiply_add(100), peak().multiply_add(101));
  EXPECT_EQ(std::fmod(peak().multiply_add(100), 2.0F), 0.0F);
}

PERCEIVE_KERNEL_TESTS(RowTest);

}  // namespace
}  // namespace perceive::kernels
