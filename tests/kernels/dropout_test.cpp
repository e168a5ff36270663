// The pattern of dropout.
#include "perceive/kernels/dropout.h"

#include <gtest/gtest.h>

#include <vector>

namespace perceive::kernels {
namespace {

std::vector<float> row(const DropoutPattern& pattern, uint64_t row, uint64_t first, int64_t count) {
  std::vector<float> scale(count);
  dropout_row(pattern, row, first, count, scale.data());
  return scale;
}

TEST(Dropout, KeepsItsShareAndScalesIt) {
  int64_t kept = 0;
  for (const float scale : row({.seed = 5, .probability = 0.2}, 3, 0, 100000)) {
    EXPECT_TRUE(scale == 0.0F || scale == 1.25F);
    kept += scale != 0.0F;
  }
  EXPECT_NEAR(kept, 80000, 700);
}

TEST(Dropout, DependsOnThePositionNotOnTheTile) {
  const DropoutPattern pattern{.seed = UINT64_MAX, .probability = 0.5};
  for (const uint64_t first : {uint64_t{0}, uint64_t{1} << 40, (uint64_t{1} << 32) - 50}) {
    const auto whole = row(pattern, UINT64_MAX, first, 97);
    EXPECT_EQ(row(pattern, UINT64_MAX, first + 40, 57), std::vector<float>(whole.begin() + 40, whole.end()));
    EXPECT_NE(row(pattern, 0, first, 97), whole);
  }
}

// Whoever resumes a run must find the pattern of the version before.
TEST(Dropout, IsTheSameForEver) {
  const auto scale = row({.seed = 1, .probability = 0.5}, 2, (uint64_t{1} << 32) - 8, 16);
  EXPECT_EQ(scale, (std::vector<float>{2, 2, 2, 2, 0, 2, 0, 2, 2, 2, 0, 0, 0, 2, 2, 2}));
}

}  // namespace
}  // namespace perceive::kernels
