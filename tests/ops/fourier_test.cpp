// Fourier position features and position grids.
#include "perceive/ops/fourier.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace perceive::ops {
namespace {

TEST(Fourier, PutsSinesOfAllAxesBeforeCosines) {
  const auto positions = fourier_positions({.grid = {3, 5}, .bands = 2});
  EXPECT_EQ(positions.length(), 15);
  EXPECT_EQ(positions.width(), 10);
  const auto features = positions.expand(0, 15);
  // Key 9 lies at row 1, column 4: coordinates 0 and 1; frequencies 1, 1.5 and 1, 2.5.
  const auto row = features[9];
  const std::vector<double> expected = {
      0, 1, 0, 0, std::sin(M_PI), std::sin(2.5 * M_PI), 1, 1, std::cos(M_PI), std::cos(2.5 * M_PI)};
  for (size_t c = 0; c < expected.size(); ++c) EXPECT_NEAR(row[c].item<double>(), expected[c], 1e-6) << c;
}

TEST(Fourier, ExpandsAnyRangeOfAGrid) {
  const auto positions = fourier_positions({.grid = {2, 3, 4}, .bands = 1});
  const auto all = positions.expand(0, 24);
  EXPECT_TRUE(at::equal(positions.expand(7, 9), all.narrow(0, 7, 9)));
  EXPECT_EQ(positions.expand(24, 0).size(0), 0);
  EXPECT_THROW(positions.expand(20, 5), c10::Error);
}

TEST(Fourier, TakesItsHighestFrequencyFromTheCaller) {
  const auto positions = fourier_positions({.grid = {9}, .bands = 3, .max_frequency = {10.0}});
  const auto features = positions.expand(5, 1)[0];  // coordinate 0.25, frequencies 1, 3, 5
  EXPECT_NEAR(features[3].item<double>(), std::sin(M_PI * 0.25 * 5), 1e-6);
}

TEST(Fourier, RefusesEmptyGrids) {
  EXPECT_THROW(fourier_positions({.grid = {}}), c10::Error);
  EXPECT_THROW(fourier_positions({.grid = {4, 0}}), c10::Error);
  EXPECT_THROW(fourier_positions({.grid = {4}, .bands = 0}), c10::Error);
  EXPECT_THROW(fourier_positions({.grid = {4, 4}, .bands = 1, .max_frequency = {1.0}}), c10::Error);
}

}  // namespace
}  // namespace perceive::ops
