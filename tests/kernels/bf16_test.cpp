// Tiles of bfloat16 keys, against the formula in double on the same numbers.
#include <gtest/gtest.h>

#include <bit>

#include "tests/kernels/attention.h"

namespace perceive::kernels {
namespace {

using testing::attend;
using testing::Attended;
using testing::BackwardArrays;
using testing::ForwardArrays;
using testing::Keys;
using testing::Matrix;

constexpr int64_t kStep = Bf16Keys::kStep;

uint16_t bits_of(float x) {
  return static_cast<uint16_t>(std::bit_cast<uint32_t>(x) >> 16);
}

// The same numbers as Keys, as the kernels take them: keys in whole steps, each number behind the width zero, and
// values with nothing behind the last.
struct Arrays {
  std::vector<uint16_t> k, v, v_rows, v_packed, k_packed;
  Bf16Keys keys;

  static std::vector<uint16_t> bits_in_steps(const Matrix& from) {
    const int64_t pitch = bf16_steps(from.columns) * kStep;
    std::vector<uint16_t> rows(bf16_steps(from.rows) * kStep * pitch, 0);
    for (int64_t j = 0; j < from.rows; ++j) {
      for (int64_t d = 0; d < from.columns; ++d) rows[j * pitch + d] = bits_of(from.at(j, d));
    }
    return rows;
  }
  Arrays(const Keys& from, const TileKernels& kernels) : k(bits_in_steps(from.k)), v_rows(bits_in_steps(from.v)) {
    const int64_t keys_count = from.k.rows, width = from.v.columns, key_width = from.k.columns;
    const int64_t pitch = bf16_steps(key_width) * kStep, v_pitch = bf16_steps(width) * kStep;
    for (int64_t j = 0; j < keys_count; ++j) {
      for (int64_t d = 0; d < width; ++d) v.push_back(bits_of(from.v.at(j, d)));
    }
    v_packed.assign(packed_values(keys_count, width), 0xFFFF);
    k_packed.assign(packed_values(keys_count, key_width), 0xFFFF);
    kernels.pack_values(v.data(), width, keys_count, width, v_packed.data());
    kernels.pack_values(k.data(), pitch, keys_count, key_width, k_packed.data());
    keys = {.k = k.data(),
            .stride = pitch,
            .v = v_packed.data(),
            .k_packed = k_packed.data(),
            .v_rows = v_rows.data(),
            .v_stride = v_pitch};
  }
};

class Bf16Test : public testing::KernelTest {
 protected:
  // What is left of numbers in bfloat16.
  void cut(std::vector<float>& numbers) {
    for (float& x : numbers) x = std::bit_cast<float>(std::bit_cast<uint32_t>(x) & 0xFFFF0000U);
  }
  Matrix matrix(int64_t rows, int64_t columns, float size = 1.0F) {
    Matrix made(rows, columns, columns);
    made.data = numbers(rows * columns, -size, size);
    cut(made.data);
    return made;
  }
  Keys keys_of(int64_t keys, int64_t key_width, int64_t value_width) {
    return {.k = matrix(keys, key_width), .v = matrix(keys, value_width)};
  }
  // Rows, as pack_queries takes them, of scores of a few units.
  Matrix queries(int64_t lanes, int64_t key_width) {
    return matrix(lanes, key_width, 8.0F / std::sqrt(static_cast<float>(key_width)));
  }
  static constexpr float kFactor = 0.5F, kScale = 0.25F;
  std::vector<uint32_t> pairs_of(const Matrix& rows) {
    std::vector<uint16_t> bits(rows.data.size());
    std::transform(rows.data.begin(), rows.data.end(), bits.begin(), bits_of);
    std::vector<uint32_t> pairs(bf16_steps(rows.columns) * kStep / 2 * rows.rows);
    tile().pack_queries(bits.data(), rows.columns, rows.rows, rows.columns, pairs.data(), rows.rows);
    return pairs;
  }
  static std::vector<uint32_t> row_pairs_of(const Matrix& rows) {
    const int64_t pitch = bf16_steps(rows.columns) * kStep;
    std::vector<uint32_t> pairs(bf16_steps(rows.rows) * kStep / 2 * pitch);
    for (int64_t r = 0; r < rows.rows; ++r) {
      for (int64_t d = 0; d < rows.columns; ++d) pairs[r / 2 * pitch + d] |= bits_of(rows.at(r, d)) << (r % 2 * 16);
    }
    return pairs;
  }
  static std::vector<float> lanes_of(const Matrix& rows, float scale) {
    std::vector<float> lanes(rows.data.size());
    for (int64_t r = 0; r < rows.rows; ++r) {
      for (int64_t d = 0; d < rows.columns; ++d) lanes[d * rows.rows + r] = rows.at(r, d) * scale;
    }
    return lanes;
  }
  // The rows, times scale, as wide as whole vectors.
  Matrix padded_rows(const Matrix& rows, float scale) {
    Matrix made(rows.rows, padded(rows.columns), padded(rows.columns));
    for (int64_t r = 0; r < rows.rows; ++r) {
      for (int64_t d = 0; d < rows.columns; ++d) made.at(r, d) = rows.at(r, d) * scale;
    }
    return made;
  }
  void expect_backward(const Keys& keys, int64_t lanes, bool of_keys) {
    const int64_t key_width = keys.k.columns, value_width = keys.v.columns;
    const Matrix q = queries(lanes, key_width), grad_out = matrix(lanes, value_width);
    BackwardArrays arrays{.q = lanes_of(q, kFactor),
                          .grad_out = lanes_of(grad_out, 1.0F),
                          .lse = numbers(lanes, 4.0F, 8.0F),
                          .delta = numbers(lanes),
                          .grad_q = numbers(key_width * lanes),
                          .q_rows = padded_rows(q, kScale),
                          .grad_out_rows = padded_rows(grad_out, 1.0F)};
    arrays.lse.front() = INFINITY;  // a query without keys
    if (of_keys) {
      arrays.grad_k = Matrix(keys.k.rows, padded(key_width), padded(key_width) + 3);
      arrays.grad_v = Matrix(keys.k.rows, padded(value_width), padded(value_width) + 5);
      for (Matrix* m : {&arrays.grad_k, &arrays.grad_v}) m->data = numbers(static_cast<int64_t>(m->data.size()));
    }
    const auto expected = arrays.expected(keys);
    const Arrays halves(keys, tile());
    const auto q_pairs = pairs_of(q), grad_out_pairs = pairs_of(grad_out);
    const auto q_row_pairs = row_pairs_of(q), grad_out_row_pairs = row_pairs_of(grad_out);
    BackwardBlock block = arrays.block();
    block.q_pairs = q_pairs.data();
    block.grad_out_pairs = grad_out_pairs.data();
    block.q_row_pairs = q_row_pairs.data();
    block.grad_out_row_pairs = grad_out_row_pairs.data();
    block.factor = kFactor;
    block.scale = kScale;
    tile().backward(tile_of(keys, halves), block);
    arrays.expect(expected, 5e-3);
  }
  static KeyTile tile_of(const Keys& keys, const Arrays& halves) {
    return {.bf16 = &halves.keys,
            .keys = keys.k.rows,
            .key_width = keys.k.columns,
            .value_width = keys.v.columns,
            .add = keys.add.empty() ? nullptr : keys.add.data(),
            .multiply = keys.multiply.empty() ? nullptr : keys.multiply.data()};
  }
  void expect(const std::vector<Keys>& tiles, const Matrix& q, double tolerance, double lse_tolerance = 1e-5) {
    const int64_t lanes = q.rows;
    const auto pairs = pairs_of(q);
    const auto scaled = lanes_of(q, kFactor);
    ForwardArrays arrays(lanes, tiles.front().v.columns);
    for (const Keys& keys : tiles) {
      const Arrays halves(keys, tile());
      ForwardBlock block = arrays.block({}, bf16_steps(keys.k.rows) * kStep);
      block.q_pairs = pairs.data();
      block.factor = kFactor;
      tile().forward(tile_of(keys, halves), block);
    }
    const Attended expected = attend(tiles, scaled, lanes);
    arrays.expect(expected, tolerance);
    for (int64_t lane = 0; lane < lanes; ++lane) {
      if (expected.lse[lane] == -INFINITY) continue;
      EXPECT_NEAR(arrays.highest[lane] + std::log2(static_cast<double>(arrays.sum[lane])), expected.lse[lane],
                  lse_tolerance * std::max(1.0, std::abs(expected.lse[lane])));
    }
  }
  // 1: masks, all keys from the first lane; 2: drops.
  void hide(Keys& keys, int64_t lanes, int what) {
    if ((what & 1) != 0) keys.add.assign(keys.k.rows * lanes, 0.0F);
    if ((what & 2) != 0) keys.multiply.assign(keys.k.rows * lanes, 1.25F);
    for (size_t i = 0; i < keys.add.size(); ++i) keys.add[i] = i % lanes == 0 || number() < -0.3F ? -INFINITY : 0.0F;
    for (float& x : keys.multiply) x = number() < -0.6F ? 0.0F : x;
  }
};

TEST_P(Bf16Test, ForwardAgreesWithTheFormula) {
  const std::vector<int64_t> widths{1, 3, 16, 31, 32, 33, 64, 67, 130};
  size_t turn = 0;
  for (size_t w = 0; w < widths.size(); ++w) {
    for (const int64_t keys : {1, 2, 31, 32, 33, 97, 192, 193, 400}) {
      const auto counts = lane_counts();
      const int64_t lanes = counts[turn++ % counts.size()];
      SCOPED_TRACE(::testing::Message() << "key width " << widths[w] << ", keys " << keys << ", lanes " << lanes);
      expect({keys_of(keys, widths[w], widths[(w + 4) % widths.size()]),
              keys_of(33, widths[w], widths[(w + 4) % widths.size()])},
             queries(lanes, widths[w]), 4e-3);
    }
  }
}

TEST_P(Bf16Test, ForwardMasksAndDrops) {
  for (const int64_t lanes : lane_counts()) {
    for (const int64_t keys : {1, 48, 193, 400}) {
      for (const int what : {1, 2, 3}) {
        SCOPED_TRACE(::testing::Message() << "keys " << keys << ", lanes " << lanes << ", what " << what);
        std::vector<Keys> tiles{keys_of(keys, 17, 16), keys_of(7, 17, 16)};
        for (Keys& tile : tiles) hide(tile, lanes, what);
        expect(tiles, queries(lanes, 17), 4e-3);
      }
    }
  }
}

// The last lane's scores, of every key of tile t, are shifts[t] / 2 more.
TEST_P(Bf16Test, ReferencesFollowScoresThatOutgrowThem) {
  for (const auto& shifts : std::vector<std::vector<float>>{
           {200}, {-400}, {-400, -200, 0, 180, 400}, {600, -600, 0, 604}, {0, 140, 280}, {400, -2000, 3008}}) {
    const int64_t lanes = tile().lanes;
    Matrix q = queries(lanes, 17);
    for (int64_t lane = 0; lane < lanes; ++lane) q.at(lane, 0) = lane + 1 == lanes ? 1.0F : 0.0F;
    std::vector<Keys> tiles;
    for (const float shift : shifts) {
      Keys& keys = tiles.emplace_back(keys_of(49, 17, 3));
      for (int64_t j = 0; j < keys.k.rows; ++j) keys.k.at(j, 0) = shift;
    }
    expect(tiles, q, 4e-3);
  }
}

// One key has nearly all of the weight: what rounding takes from it must not be missing in the output.
TEST_P(Bf16Test, OneKeyThatCountsIsExact) {
  const int64_t lanes = tile().lanes;
  Matrix q = queries(lanes, 3);
  for (int64_t lane = 0; lane < lanes; ++lane) q.at(lane, 2) = 1.0F;
  Keys keys = keys_of(100, 3, 16);
  for (int64_t j = 0; j < keys.k.rows; ++j) keys.k.at(j, 2) = j == 77 ? 41.5F : -41.5F;
  expect({keys}, q, 1e-6);
}

TEST_P(Bf16Test, NotANumberComesThrough) {
  const int64_t lanes = tile().lanes;
  const Matrix q = queries(lanes, 3);
  Keys keys = keys_of(40, 3, 16);
  keys.add.assign(40 * lanes, 0.0F);
  for (int64_t lane = 0; lane < lanes; ++lane) keys.add[2 * lanes + lane] = -INFINITY;
  keys.k.at(2, 1) = NAN;
  expect({keys}, q, 4e-3);  // masked, it vanishes
  keys.add.clear();
  const Arrays halves(keys, tile());
  std::vector<uint32_t> pairs(kStep / 2 * lanes, 0x3F803F80);
  ForwardArrays arrays(lanes, 16);
  ForwardBlock block = arrays.block({}, 64);
  block.q_pairs = pairs.data();
  tile().forward({.bf16 = &halves.keys, .keys = 40, .key_width = 3, .value_width = 16}, block);
  for (const float x : arrays.out) EXPECT_TRUE(std::isnan(x));
}

TEST_P(Bf16Test, BackwardAgreesWithTheFormula) {
  const std::vector<int64_t> widths{1, 3, 16, 31, 32, 33, 64, 67, 130};
  size_t turn = 0;
  for (size_t w = 0; w < widths.size(); ++w) {
    for (const int64_t keys : {1, 2, 31, 33, 97, 192, 200}) {
      const auto counts = lane_counts();
      const int64_t lanes = counts[turn % counts.size()];
      SCOPED_TRACE(::testing::Message() << "key width " << widths[w] << ", keys " << keys << ", lanes " << lanes);
      expect_backward(keys_of(keys, widths[w], widths[(w + 4) % widths.size()]), lanes, turn++ % 5 != 0);
    }
  }
}

TEST_P(Bf16Test, BackwardMasksAndDrops) {
  for (const int64_t lanes : lane_counts()) {
    for (const int what : {1, 2, 3}) {
      Keys keys = keys_of(100, 17, 16);
      hide(keys, lanes, what);
      expect_backward(keys, lanes, true);
    }
  }
}

std::vector<Tables> tables_of_bf16() {
  std::vector<Tables> able;
  for (const Tables& tables : testing::present_tables()) {
    if (tables.tile.pack_values != nullptr) able.push_back(tables);
  }
  return able;
}
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(Bf16Test);
INSTANTIATE_TEST_SUITE_P(Cpu, Bf16Test, ::testing::ValuesIn(tables_of_bf16()),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace perceive::kernels
