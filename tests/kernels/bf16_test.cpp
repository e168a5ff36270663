// Tiles of bfloat16 keys, against the formula in double on the same numbers.
#include <gtest/gtest.h>

#include <bit>

#include "tests/kernels/attention.h"

namespace perceive::kernels {
namespace {

using testing::attend;
using testing::Attended;
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
  std::vector<uint16_t> k, v, packed;
  Bf16Keys keys;

  Arrays(const Keys& from, const TileKernels& kernels) {
    const int64_t pitch = bf16_steps(from.k.columns) * kStep, width = from.v.columns;
    k.assign(bf16_steps(from.k.rows) * kStep * pitch, 0);
    v.resize(from.v.rows * width);
    for (int64_t j = 0; j < from.k.rows; ++j) {
      for (int64_t d = 0; d < from.k.columns; ++d) k[j * pitch + d] = bits_of(from.k.at(j, d));
      for (int64_t d = 0; d < width; ++d) v[j * width + d] = bits_of(from.v.at(j, d));
    }
    packed.assign(packed_values(from.k.rows, width), 0xFFFF);
    kernels.pack_values(v.data(), width, from.v.rows, width, packed.data());
    keys = {k.data(), pitch, packed.data()};
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
  void expect(const std::vector<Keys>& tiles, const Matrix& q, double tolerance, double lse_tolerance = 1e-5) {
    const int64_t lanes = q.rows, width = q.columns;
    const float factor = 0.5F;
    std::vector<uint16_t> rows(q.data.size());
    std::transform(q.data.begin(), q.data.end(), rows.begin(), bits_of);
    std::vector<uint32_t> pairs(bf16_steps(width) * kStep / 2 * lanes);
    tile().pack_queries(rows.data(), width, lanes, width, pairs.data(), lanes);
    std::vector<float> scaled(width * lanes);
    for (int64_t lane = 0; lane < lanes; ++lane) {
      for (int64_t d = 0; d < width; ++d) scaled[d * lanes + lane] = q.at(lane, d) * factor;
    }
    ForwardArrays arrays(lanes, tiles.front().v.columns);
    for (const Keys& keys : tiles) {
      const Arrays halves(keys, tile());
      ForwardBlock block = arrays.block({}, bf16_steps(keys.k.rows) * kStep);
      block.q_pairs = pairs.data();
      block.factor = factor;
      tile().forward({.bf16 = &halves.keys,
                      .keys = keys.k.rows,
                      .key_width = width,
                      .value_width = keys.v.columns,
                      .add = keys.add.empty() ? nullptr : keys.add.data(),
                      .multiply = keys.multiply.empty() ? nullptr : keys.multiply.data()},
                     block);
    }
    const Attended expected = attend(tiles, scaled, lanes);
    arrays.expect(expected, tolerance);
    for (int64_t lane = 0; lane < lanes; ++lane) {
      if (expected.lse[lane] == -INFINITY) continue;
      EXPECT_NEAR(arrays.highest[lane] + std::log2(static_cast<double>(arrays.sum[lane])), expected.lse[lane],
                  lse_tolerance * std::max(1.0, std::abs(expected.lse[lane])));
    }
  }
  std::vector<float> mask(int64_t keys, int64_t lanes) {
    std::vector<float> add(keys * lanes, 0.0F);
    for (size_t i = 0; i < add.size(); ++i) {
      if (i % lanes == 0 || number() < -0.3F) add[i] = -INFINITY;  // all keys from the first lane
    }
    return add;
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
        for (Keys& tile : tiles) {
          if ((what & 1) != 0) tile.add = mask(tile.k.rows, lanes);
          if ((what & 2) != 0) {
            tile.multiply.assign(tile.k.rows * lanes, 1.25F);
            for (float& x : tile.multiply) x = number() < -0.6F ? 0.0F : x;
          }
        }
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
