// Tiles of given keys and values, forward and backward.
#include <gtest/gtest.h>

#include "tests/kernels/attention.h"

namespace perceive::kernels {
namespace {

using testing::attend;
using testing::BackwardArrays;
using testing::ForwardArrays;
using testing::Keys;
using testing::Matrix;

// Each key width meets another value width.
const std::vector<int64_t> kWidths{1, 3, 16, 17, 64, 261, 300};
// Two pieces of a tile are below and above one instruction set's or another's.
const std::vector<int64_t> kKeys{1, 5, 48, 49, 192, 200};

class TileTest : public testing::KernelTest {
 protected:
  Matrix matrix(int64_t rows, int64_t columns, int64_t stride) {
    Matrix made(rows, columns, stride);
    made.data = numbers(static_cast<int64_t>(made.data.size()));
    return made;
  }
  Keys keys_of(int64_t keys, int64_t key_width, int64_t value_width) {
    return {.k = matrix(keys, key_width, key_width + 3), .v = matrix(keys, value_width, value_width + 5)};
  }
  // Scores of a few units, whatever the width.
  std::vector<float> queries(int64_t key_width, int64_t lanes) {
    const float size = 4.0F / std::sqrt(static_cast<float>(key_width));
    return numbers(key_width * lanes, -size, size);
  }
  // Keeps some keys from every lane, and all keys from the first.
  void mask(Keys& keys, int64_t lanes) {
    keys.add.assign(keys.k.rows * lanes, 0.0F);
    for (size_t i = 0; i < keys.add.size(); ++i) {
      if (i % lanes == 0 || number() < -0.3F) keys.add[i] = -INFINITY;
    }
  }
  void drop(Keys& keys, int64_t lanes) {
    keys.multiply.assign(keys.k.rows * lanes, 1.25F);
    for (float& x : keys.multiply) {
      if (number() < -0.6F) x = 0.0F;
    }
  }
  // The parts of float32, where the kernels take such: of all that is finite.
  struct Split {
    std::vector<uint16_t> parts[4];
    SplitKeys keys;
  };
  bool split(const Keys& keys, Split& to) const {
    if (tile().split_rows == nullptr) return false;
    const auto parts = [](auto&& split, const Matrix& numbers, int64_t rows, int64_t depth,
                          std::vector<uint16_t>& space, const uint16_t*& where) {
      space.resize(parts_size(rows, depth) + 32);
      auto* const line = reinterpret_cast<uint16_t*>((reinterpret_cast<uintptr_t>(space.data()) + 63) / 64 * 64);
      where = line;
      return split(numbers.read(), rows, depth, line);
    };
    const auto& [k, v, add, multiply] = keys;
    return parts(tile().split_rows, k, k.rows, k.columns, to.parts[0], to.keys.k_rows) &&
           parts(tile().split_columns, k, k.columns, k.rows, to.parts[1], to.keys.k_columns) &&
           parts(tile().split_rows, v, v.rows, v.columns, to.parts[2], to.keys.v_rows) &&
           parts(tile().split_columns, v, v.columns, v.rows, to.parts[3], to.keys.v_columns);
  }
  // The tile as the kernels take it, with rows to ask for meanwhile.
  KeyTile view(const Keys& keys, Split& parts) const {
    const auto ahead = [](const Matrix& rows) {
      return Ahead{reinterpret_cast<const char*>(rows.data.data()), rows.stride * 4, rows.columns * 4, rows.rows};
    };
    return {.k = keys.k.read(),
            .v = keys.v.read(),
            .split = split(keys, parts) ? &parts.keys : nullptr,
            .keys = keys.k.rows,
            .key_width = keys.k.columns,
            .value_width = keys.v.columns,
            .add = keys.add.empty() ? nullptr : keys.add.data(),
            .multiply = keys.multiply.empty() ? nullptr : keys.multiply.data(),
            .ahead = {ahead(keys.k), ahead(keys.v)}};
  }
  void expect_forward(const std::vector<Keys>& tiles, const std::vector<float>& q, int64_t lanes, double tolerance) {
    ForwardArrays arrays(lanes, tiles.front().v.columns);
    for (const Keys& keys : tiles) {
      Split parts;
      tile().forward(view(keys, parts), arrays.block(q, bf16_steps(keys.k.rows) * Bf16Keys::kStep));
    }
    arrays.expect(attend(tiles, q, lanes), tolerance);
  }
  BackwardArrays backward_arrays(const Keys& keys, int64_t lanes, int64_t queries_in_use) {
    const int64_t key_width = keys.k.columns, value_width = keys.v.columns;
    const int64_t key_columns = padded(key_width), value_columns = padded(value_width);
    BackwardArrays arrays{.q = queries(key_width, lanes),
                          .grad_out = numbers(value_width * lanes),
                          .lse = numbers(lanes, 5.0F, 8.0F),
                          .delta = numbers(lanes),
                          .grad_q = numbers(key_width * lanes),
                          .context = numbers(value_width * lanes),
                          .scores = std::vector<float>(keys.k.rows * lanes, NAN),
                          .grad_scores = std::vector<float>(keys.k.rows * lanes, NAN),
                          .q_rows = matrix(queries_in_use, key_columns, key_columns + 2),
                          .grad_out_rows = matrix(queries_in_use, value_columns, value_columns + 1),
                          .grad_k = matrix(keys.k.rows, key_columns, key_columns + 3),
                          .grad_v = matrix(keys.k.rows, value_columns, value_columns + 7)};
    for (int64_t lane = queries_in_use; lane < lanes; ++lane) {
      for (int64_t d = 0; d < key_width; ++d) arrays.q[d * lanes + lane] = 0.0F;
      for (int64_t d = 0; d < value_width; ++d) arrays.grad_out[d * lanes + lane] = 0.0F;
      arrays.delta[lane] = 0.0F;
    }
    arrays.lse.front() = INFINITY;  // a query without keys
    return arrays;
  }
  void expect_backward(const Keys& keys, BackwardArrays& arrays) {
    const auto expected = arrays.expected(keys);
    Split parts;
    tile().backward(view(keys, parts), arrays.block());
    arrays.expect(expected, 2e-5);
  }
};

TEST_P(TileTest, ForwardAgreesWithTheFormula) {
  size_t turn = 0;
  for (size_t w = 0; w < kWidths.size(); ++w) {
    for (const int64_t keys : kKeys) {
      const auto counts = lane_counts();
      const int64_t lanes = counts[turn++ % counts.size()];
      SCOPED_TRACE(::testing::Message() << "key width " << kWidths[w] << ", keys " << keys << ", lanes " << lanes);
      const Keys tile = keys_of(keys, kWidths[w], kWidths[(w + 3) % kWidths.size()]);
      expect_forward({tile}, queries(kWidths[w], lanes), lanes, 2e-5);
    }
  }
}

TEST_P(TileTest, ForwardMasksAndDrops) {
  for (const int64_t lanes : lane_counts()) {
    for (const int64_t keys : kKeys) {
      for (const int what : {1, 2, 3}) {
        SCOPED_TRACE(::testing::Message() << "keys " << keys << ", lanes " << lanes << ", what " << what);
        std::vector<Keys> tiles{keys_of(keys, 17, 16), keys_of(7, 17, 16), keys_of(keys, 17, 16)};
        for (Keys& tile : tiles) {
          if ((what & 1) != 0) mask(tile, lanes);
          if ((what & 2) != 0) drop(tile, lanes);
        }
        expect_forward(tiles, queries(17, lanes), lanes, 2e-5);
      }
    }
  }
}

TEST_P(TileTest, MaskedNotANumberVanishes) {
  const int64_t lanes = tile().lanes;
  Keys keys = keys_of(5, 3, 3);
  keys.add.assign(5 * lanes, 0.0F);
  for (int64_t lane = 0; lane < lanes; ++lane) keys.add[2 * lanes + lane] = -INFINITY;
  keys.k.at(2, 1) = NAN;
  const auto q = queries(3, lanes);
  expect_forward({keys}, q, lanes, 2e-5);
}

// Float32 in parts knows no infinity: such keys, and such queries, are multiplied as they are.
TEST_P(TileTest, InfinitiesStayWhatTheyAre) {
  const int64_t lanes = tile().lanes;
  Keys keys = keys_of(40, 24, 24);
  keys.v.at(7, 3) = INFINITY;
  const auto q = queries(24, lanes);
  ForwardArrays arrays(lanes, 24);
  Split parts;
  tile().forward(view(keys, parts), arrays.block(q, 64));
  for (int64_t lane = 0; lane < lanes; ++lane) {
    EXPECT_EQ(arrays.out[3 * lanes + lane], INFINITY);
    EXPECT_TRUE(std::isfinite(arrays.out[4 * lanes + lane]));
  }
  keys.v.at(7, 3) = 0.0F;
  auto far = q;
  far[5] = -INFINITY;
  ForwardArrays others(lanes, 24);
  tile().forward(view(keys, parts), others.block(far, 64));
  EXPECT_TRUE(std::isnan(others.sum[5]));
  EXPECT_TRUE(std::isfinite(others.sum[6]));
}

// Every score of tile t has shifts[t] added.
TEST_P(TileTest, ReferencesFollowScoresThatOutgrowThem) {
  const std::vector<std::vector<float>> walks{{100.0F},
                                              {-200.0F},
                                              {-200.0F, -100.0F, 0.0F, 90.0F, 200.0F},
                                              {300.0F, -300.0F, 0.0F, 301.0F},
                                              {0.0F, 70.0F, 140.0F, 210.0F, 280.0F},
                                              {-70.0F, -71.0F, 1000.0F}};
  for (const auto& shifts : walks) {
    for (const bool special : {false, true}) {
      const int64_t lanes = tile().lanes;
      auto q = queries(17, lanes);
      for (int64_t lane = 0; lane < lanes; ++lane) q[lane] = 1.0F;
      std::vector<Keys> tiles;
      for (const float shift : shifts) {
        Keys& keys = tiles.emplace_back(keys_of(49, 17, 3));
        for (int64_t j = 0; j < 49; ++j) keys.k.at(j, 0) = shift;
        if (special) mask(keys, lanes);
      }
      expect_forward(tiles, q, lanes, 3e-4);
    }
  }
}

// One lane's reference fails, and the others' weights must not be taken twice.
TEST_P(TileTest, OneLaneOfManyOutgrowsItsReference) {
  const int64_t lanes = tile().lanes;
  auto q = queries(3, lanes);
  q[lanes - 1] = 200.0F;
  std::vector<Keys> tiles{keys_of(49, 3, 17), keys_of(200, 3, 17)};
  for (Keys& keys : tiles) {
    for (int64_t j = 0; j < keys.k.rows; ++j) keys.k.at(j, 0) = 1.0F;
  }
  expect_forward(tiles, q, lanes, 1e-4);
}

TEST_P(TileTest, BackwardAgreesWithTheFormula) {
  size_t turn = 0;
  for (size_t w = 0; w < kWidths.size(); ++w) {
    for (const int64_t keys : kKeys) {
      const auto counts = lane_counts();
      const int64_t lanes = counts[turn++ % counts.size()];
      SCOPED_TRACE(::testing::Message() << "key width " << kWidths[w] << ", keys " << keys << ", lanes " << lanes);
      const Keys tile = keys_of(keys, kWidths[w], kWidths[(w + 3) % kWidths.size()]);
      auto arrays = backward_arrays(tile, lanes, lanes - static_cast<int64_t>(turn % 3));
      if (turn % 2 == 0) arrays.context = {};
      expect_backward(tile, arrays);
    }
  }
}

TEST_P(TileTest, BackwardMasksAndDrops) {
  for (const int64_t lanes : lane_counts()) {
    for (const int what : {1, 2, 3, 5, 6, 7}) {
      Keys keys = keys_of(200, 17, 16);
      if ((what & 1) != 0) mask(keys, lanes);
      if ((what & 2) != 0) drop(keys, lanes);
      auto arrays = backward_arrays(keys, lanes, lanes - 1);
      if ((what & 4) != 0) arrays.context = {};
      expect_backward(keys, arrays);
    }
  }
}

TEST_P(TileTest, BackwardLeavesOutWhatIsNotAskedFor) {
  const int64_t lanes = tile().lanes;
  const Keys keys = keys_of(200, 17, 16);
  for (const int what : {0, 1, 2, 4, 7}) {
    auto arrays = backward_arrays(keys, lanes, lanes);
    if ((what & 1) == 0) arrays.grad_k = {};
    if ((what & 2) == 0) arrays.grad_v = {};
    if ((what & 4) == 0) arrays.context = {};
    expect_backward(keys, arrays);
  }
}

PERCEIVE_KERNEL_TESTS(TileTest);

}  // namespace
}  // namespace perceive::kernels
