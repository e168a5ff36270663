// Tiles of keys on a grid, against the same keys with their features written out.
#include <gtest/gtest.h>

#include "tests/kernels/attention.h"

namespace perceive::kernels {
namespace {

using testing::attend;
using testing::BackwardArrays;
using testing::ForwardArrays;
using testing::Keys;
using testing::Matrix;

// A grid and its features written out. The features are the inputs, the constant, the rows of the two outer axes, and
// those of the innermost.
struct Grid {
  static constexpr int64_t kOuter = 5, kInner = 11;

  Matrix inputs;
  std::vector<float> factor;
  std::vector<int64_t> column;
  std::vector<GridKeys::Segment> segments;
  Keys keys;

  int64_t features() const { return keys.k.columns; }
  KeyTile view(GridKeys& grid) const {
    grid = {.inputs = inputs.read(),
            .factor = factor.data(),
            .column = column.data(),
            .depth = inputs.columns,
            .constant = inputs.columns,
            .segments = segments.data(),
            .segment_count = static_cast<int64_t>(segments.size())};
    return {.grid = &grid,
            .keys = keys.k.rows,
            .key_width = features(),
            .value_width = features(),
            .add = keys.add.empty() ? nullptr : keys.add.data(),
            .multiply = keys.multiply.empty() ? nullptr : keys.multiply.data()};
  }
};

class GridTest : public testing::KernelTest {
 protected:
  // Segments of 3, 7, 4, 0, 11 and 9 keys, with 0, 1 or 2 shared rows.
  Grid grid_of(int64_t depth) {
    Grid grid;
    int64_t keys = 0;
    for (const int64_t size : {3, 7, 4, 0, 11, 9}) {
      const auto s = static_cast<int64_t>(grid.segments.size());
      grid.segments.push_back({.begin = keys,
                               .end = keys + size,
                               .rows = {depth + 1 + s % 2, depth + 3 + s % 3},
                               .shared = static_cast<int>(s % 3)});
      keys += size;
    }
    const int64_t features = depth + 1 + Grid::kOuter + Grid::kInner;
    grid.inputs = Matrix(keys, depth, depth + 2);
    grid.inputs.data = numbers(static_cast<int64_t>(grid.inputs.data.size()));
    grid.factor = numbers(keys, 0.5F, 1.5F);
    grid.keys.k = Matrix(keys, features, features);
    for (const auto& segment : grid.segments) {
      for (int64_t j = segment.begin; j < segment.end; ++j) {
        grid.column.push_back(features - Grid::kInner + (j - segment.begin));
        for (int64_t d = 0; d < depth; ++d) grid.keys.k.at(j, d) = grid.inputs.at(j, d);
        grid.keys.k.at(j, depth) = 1.0F;
        grid.keys.k.at(j, grid.column.back()) = grid.factor[j];
        for (int s = 0; s < segment.shared; ++s) grid.keys.k.at(j, segment.rows[s]) = grid.factor[j];
      }
    }
    grid.keys.v = grid.keys.k;
    return grid;
  }
  // 1 masks, 2 drops, 3 does both.
  void specialise(Keys& keys, int64_t lanes, int what) {
    if ((what & 1) != 0) {
      keys.add.assign(keys.k.rows * lanes, 0.0F);
      for (size_t i = 0; i < keys.add.size(); ++i) {
        if (i % lanes == 0 || number() < -0.3F) keys.add[i] = -INFINITY;
      }
    }
    if ((what & 2) != 0) {
      keys.multiply.assign(keys.k.rows * lanes, 1.25F);
      for (float& x : keys.multiply) {
        if (number() < -0.6F) x = 0.0F;
      }
    }
  }
};

TEST_P(GridTest, ForwardAgreesWithWrittenOutFeatures) {
  for (const int64_t lanes : lane_counts()) {
    for (int64_t depth = 0; depth <= 6; ++depth) {
      for (int what = 0; what <= 3; ++what) {
        SCOPED_TRACE(::testing::Message() << "depth " << depth << ", lanes " << lanes << ", what " << what);
        Grid grid = grid_of(depth);
        specialise(grid.keys, lanes, what);
        const auto q = numbers(grid.features() * lanes);
        ForwardArrays arrays(lanes, grid.features());
        GridKeys keys;
        for (int pass = 0; pass < 2; ++pass) tile().forward(grid.view(keys), arrays.block(q, grid.keys.k.rows));
        arrays.expect(attend({grid.keys, grid.keys}, q, lanes), 2e-5);
      }
    }
  }
}

TEST_P(GridTest, ReferencesFollowScoresThatOutgrowThem) {
  const int64_t lanes = tile().lanes;
  for (const float shift : {-200.0F, 150.0F}) {
    const Grid grid = grid_of(3);
    auto q = numbers(grid.features() * lanes);
    for (int64_t lane = 0; lane < lanes; ++lane) q[3 * lanes + lane] = shift;
    ForwardArrays arrays(lanes, grid.features());
    GridKeys keys;
    tile().forward(grid.view(keys), arrays.block(q, grid.keys.k.rows));
    arrays.expect(attend({grid.keys}, q, lanes), 1e-4);
  }
}

TEST_P(GridTest, BackwardAgreesWithWrittenOutFeatures) {
  for (const int64_t lanes : lane_counts()) {
    for (int64_t depth = 0; depth <= 6; ++depth) {
      for (int what = 0; what <= 3; ++what) {
        SCOPED_TRACE(::testing::Message() << "depth " << depth << ", lanes " << lanes << ", what " << what);
        Grid grid = grid_of(depth);
        specialise(grid.keys, lanes, what);
        const int64_t size = grid.features() * lanes, scores = grid.keys.k.rows * lanes;
        BackwardArrays arrays{.q = numbers(size),
                              .grad_out = numbers(size),
                              .lse = numbers(lanes, 3.0F, 5.0F),
                              .delta = numbers(lanes),
                              .grad_q = numbers(size),
                              .context = numbers(size),
                              .scores = std::vector<float>(scores, NAN),
                              .grad_scores = std::vector<float>(scores, NAN)};
        const auto expected = arrays.expected(grid.keys);
        GridKeys keys;
        tile().backward(grid.view(keys), arrays.block());
        arrays.expect(expected, 2e-5);
      }
    }
  }
}

PERCEIVE_KERNEL_TESTS(GridTest);

}  // namespace
}  // namespace perceive::kernels
