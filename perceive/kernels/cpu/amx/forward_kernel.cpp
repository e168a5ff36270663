// Attention over tiles of keys in bfloat16, or of float32 in parts: products in tiles of registers, sums in float32.
//
// Scores come in squares of 32 keys and 32 lanes. While the tiles multiply for the next square, the vectors take the
// exponentials of the last one.
#include <algorithm>

#include "perceive/kernels/cpu/amx/pack.h"
#include "perceive/kernels/cpu/amx/parts.h"
#include "perceive/kernels/cpu/amx/tiles.h"
#include "perceive/kernels/cpu/fetcher.h"
#include "perceive/kernels/cpu/softmax.h"
#include "perceive/kernels/cpu/tables.h"

namespace perceive::kernels::PERCEIVE_ISA {
namespace {

constexpr int64_t kLanes = kWidth * kVectors;

// Keys and queries in bfloat16, and weights rounded to it.
class Bf16Numbers {
 public:
  static constexpr int64_t kPiece = 192;  // keys whose weights are held
  static constexpr bool kRounded = true;
  static constexpr int64_t kProducts = 1;  // a step

  Bf16Numbers(const KeyTile& tile, const ForwardBlock& block, int64_t first)
      : keys_(*tile.bf16),
        lanes_(block.lanes),
        k_(keys_.k + first * keys_.stride),
        q_(block.q_pairs),
        width_steps_(bf16_steps(tile.value_width)),
        v_(keys_.v + first * width_steps_ * kStep) {}

  // Adds one of the products with 32 of the width to the scores of a square.
  void multiply_keys(int64_t key, int64_t lane, int64_t step, int64_t, bool wide) const {
    multiply_square(k_ + key * keys_.stride + step * kStep, keys_.stride, q_ + step * kStep / 2 * lanes_ + lane, lanes_,
                    wide);
  }
  static Register weight(Register score) { return rough_exp2(score); }
  // Keeps the weights of two keys; gives them as kept, in pairs.
  Register put(int64_t key, int64_t lane, Register first, Register second) {
    const Register pairs = pair(first, second);
    store(weights_ + key / 2 * kLanes + lane, pairs);
    return pairs;
  }
  // Adds 32 keys to the sums of a square: from `row` of the width on.
  void multiply_values(int64_t row, int64_t lane, int64_t step, bool wide) const {
    multiply_square(v_ + (step * width_steps_ + row / kStep) * kStep * kStep, kStep,
                    reinterpret_cast<const uint32_t*>(weights_) + step * kStep / 2 * kLanes + lane, kLanes, wide);
  }

 private:
  const Bf16Keys& keys_;
  int64_t lanes_;
  const uint16_t* k_;
  const uint32_t* q_;
  int64_t width_steps_;
  const uint16_t* v_;
  alignas(64) float weights_[kPiece / 2 * kLanes];  // [pairs of keys][lanes]
};

// All of them float32, in parts.
class SplitNumbers {
 public:
  static constexpr int64_t kPiece = 96;
  static constexpr bool kRounded = false;
  static constexpr int64_t kProducts = kPartProducts;

  // `q`: the block's queries, in blocks of b's.
  SplitNumbers(const KeyTile& tile, const uint16_t* q, int64_t first)
      : depth_steps_(bf16_steps(tile.key_width)),
        key_steps_(bf16_steps(tile.keys)),
        k_(tile.split->k_rows + first / kStep * depth_steps_ * kBlock),
        q_(q),
        v_(tile.split->v_columns + first / kStep * kBlock) {}

  void multiply_keys(int64_t key, int64_t lane, int64_t step, int64_t product, bool wide) const {
    multiply_parts(k_ + (key / kStep * depth_steps_ + step) * kBlock,
                   q_ + (lane / kStep * depth_steps_ + step) * kBlock, product, wide);
  }
  static Register weight(Register score) { return exp2(score); }
  Register put(int64_t key, int64_t lane, Register first, Register second) {
    put_pairs(parts_of(first), parts_of(second), key % kStep / 2, lane % kStep, weights_of(key / kStep, lane));
    return Register{};
  }
  void multiply_values(int64_t row, int64_t lane, int64_t step, bool wide) {
    multiply_blocks(v_ + (row / kStep * key_steps_ + step) * kBlock, weights_of(step, lane), wide);
  }

 private:
  uint16_t* weights_of(int64_t step, int64_t lane) {
    return weights_ + (step * (kLanes / kStep) + lane / kStep) * kBlock;
  }

  int64_t depth_steps_, key_steps_;
  const uint16_t *k_, *q_, *v_;
  alignas(64) uint16_t weights_[kPiece / kStep * (kLanes / kStep) * kBlock];
};

// A piece of a tile against a block.
template <class Numbers>
class Piece {
 public:
  template <class Make>
  Piece(const KeyTile& tile, const ForwardBlock& block, int64_t first, int64_t keys, const Make& numbers)
      : tile_(tile), block_(block), numbers_(numbers(first)), first_(first), keys_(keys) {}

  void run(Fetcher& fetcher) {
    if (special(tile_) || !weigh(fetcher)) weigh_anything();
    add_sums();
  }

 private:
  // Scores of 32 keys and 32 lanes, or the last 16. A square without keys has nothing to do.
  class Square {
   public:
    Square(const Piece& piece, int64_t key, int64_t lane)
        : key(key),
          lane(lane),
          wide(lane + kWidth < piece.block_.lanes),
          numbers_(piece.numbers_),
          products_(key < piece.keys_ ? bf16_steps(piece.tile_.key_width) * Numbers::kProducts : 0) {
      zero_square();
    }
    // Adds what is due when so many of kStep rows have passed.
    void advance(int64_t rows) {
      for (const int64_t due = (products_ * rows + kStep - 1) / kStep; done_ < due; ++done_) {
        numbers_.multiply_keys(key, lane, done_ / Numbers::kProducts, done_ % Numbers::kProducts, wide);
      }
    }
    void finish(float* scores, int64_t scores_stride) {
      advance(kStep);
      store_square(scores, scores_stride, wide);
    }

    int64_t key, lane;
    bool wide;

   private:
    const Numbers& numbers_;
    int64_t products_, done_ = 0;
  };

  // Scores and weights in one go; false where the block's references do not serve.
  bool weigh(Fetcher& fetcher) {
    for (int64_t lane = 0; lane < block_.lanes; lane += kWidth) {
      const Register reference = load(block_.highest + lane);
      shift_[lane / kWidth] = reference == broadcast(-INFINITY) ? Register{} : reference;
      sum_[lane / kWidth] = rounded_[lane / kWidth] = Register{};
    }
    alignas(64) float scores[2][kStep * kStep];
    int turn = 0;
    int64_t key = 0, lane = 0;
    Square(*this, 0, 0).finish(scores[0], kStep);
    while (key < keys_) {
      const bool last = lane + kStep >= block_.lanes, wide = lane + kWidth < block_.lanes;
      Square next(*this, last ? key + kStep : key, last ? 0 : lane + kStep);
      if (lane == 0) fetcher.next(kStep);
      const bool whole = key + kStep <= keys_;
      if (wide) {
        whole ? weigh<2, true>(scores[turn], key, lane, next) : weigh<2, false>(scores[turn], key, lane, next);
      } else {
        whole ? weigh<1, true>(scores[turn], key, lane, next) : weigh<1, false>(scores[turn], key, lane, next);
      }
      turn = 1 - turn;
      next.finish(scores[turn], kStep);
      key = next.key;
      lane = next.lane;
    }
    return commit();
  }

  template <int V, bool kWhole>
  void weigh(const float* scores, int64_t key, int64_t lane, Square& next) {
    const int64_t keys = kWhole ? kStep : keys_ - key;
    const Register factor = broadcast(block_.factor);
    Register shift[V], sum[V], rounded[V];
    for (int v = 0; v < V; ++v) {
      shift[v] = shift_[lane / kWidth + v];
      sum[v] = sum_[lane / kWidth + v];
      rounded[v] = rounded_[lane / kWidth + v];
    }
    for (int64_t j = 0; j < kStep; j += 2) {
      next.advance(j + 2);
      for (int v = 0; v < V; ++v) {
        Register weights[2] = {};
        for (int r = 0; r < 2; ++r) {
          if (!kWhole && j + r >= keys) break;
          weights[r] = Numbers::weight(load(scores + (j + r) * kStep + v * kWidth) * factor - shift[v]);
          sum[v] += weights[r];
        }
        const Register kept = numbers_.put(key + j, lane + v * kWidth, weights[0], weights[1]);
        if constexpr (Numbers::kRounded) rounded[v] = add_pairs(rounded[v], kept);
      }
    }
    for (int v = 0; v < V; ++v) {
      sum_[lane / kWidth + v] = sum[v];
      rounded_[lane / kWidth + v] = rounded[v];
    }
  }

  // As Weigher does, but by the sums: they tell as well how far scores lie from the references, and of NaN, too.
  bool commit() {
    Integers near = ~Integers{};
    for (int64_t lane = 0; lane < block_.lanes; lane += kWidth) {
      const Register sum = sum_[lane / kWidth];
      const Integers old = load(block_.highest + lane) != broadcast(-INFINITY);
      near &= sum <= broadcast(kFar);
      near &= old | (sum >= broadcast(1.0F / kFar));
    }
    if (any(~near)) return false;
    for (int64_t lane = 0; lane < block_.lanes; lane += kWidth) {
      store(block_.highest + lane, shift_[lane / kWidth]);
      store(block_.sum + lane, load(block_.sum + lane) + sum_[lane / kWidth]);
    }
    return true;
  }

  // Scores first, weights then: for any scores, with masks and dropout.
  void weigh_anything() {
    KeyTile piece = tile_;
    piece.keys = keys_;
    if (piece.add != nullptr) piece.add += first_ * block_.lanes;
    if (piece.multiply != nullptr) piece.multiply += first_ * block_.lanes;
    const int64_t lanes = block_.lanes, padded = bf16_steps(keys_) * kStep;
    for (int64_t key = 0; key < keys_; key += kStep) {
      for (int64_t lane = 0; lane < lanes; lane += kStep) {
        Square(*this, key, lane).finish(block_.scores + key * lanes + lane, lanes);
      }
    }
    for (int64_t at = 0; at < keys_ * lanes; at += kWidth) {
      store(block_.scores + at, load(block_.scores + at) * block_.factor);
    }
    std::fill(block_.scores + keys_ * lanes, block_.scores + padded * lanes, 0.0F);
    for (int64_t lane = 0; lane < lanes; lane += kWidth) {
      softmax(piece, block_, lane);
      Register sum{}, rounded{};
      for (int64_t j = 0; j < padded; j += 2) {
        const float* const weights = block_.scores + j * lanes + lane;
        const Register kept = numbers_.put(j, lane, load(weights), load(weights + lanes));
        sum += load(weights) + load(weights + lanes);
        if constexpr (Numbers::kRounded) rounded = add_pairs(rounded, kept);
      }
      sum_[lane / kWidth] = sum;
      rounded_[lane / kWidth] = rounded;
    }
  }

  // out += v^T weights, made up for what the weights lost: so a row that one key dominates is as exact as its value.
  void add_sums() {
    for (int64_t i = 0; i < block_.lanes / kWidth; ++i) {
      const bool exact = !Numbers::kRounded;
      sum_[i] = exact || rounded_[i] == Register{} ? broadcast(1.0F) : sum_[i] / rounded_[i];
    }
    alignas(64) float sums[2][kStep * kStep];
    const int64_t across = (block_.lanes + kStep - 1) / kStep, squares = bf16_steps(tile_.value_width) * across;
    for (int64_t i = 0; i <= squares; ++i) {
      const int64_t row = i / across * kStep, lane = i % across * kStep;
      const bool wide = lane + kWidth < block_.lanes;
      if (i < squares) {
        zero_square();
        for (int64_t s = 0; s < bf16_steps(keys_); ++s) numbers_.multiply_values(row, lane, s, wide);
      }
      // Meanwhile, the last one's.
      if (i > 0) add(sums[(i - 1) % 2], (i - 1) / across * kStep, (i - 1) % across * kStep);
      if (i < squares) store_square(sums[i % 2], kStep, wide);
    }
  }
  void add(const float* sums, int64_t row, int64_t lane) const {
    const bool wide = lane + kWidth < block_.lanes;
    const int64_t rows = std::min(kStep, tile_.value_width - row);
    float* out = block_.out + row * block_.lanes + lane;
    for (int64_t d = 0; d < rows; ++d, out += block_.lanes, sums += kStep) {
      store(out, load(out) + load(sums) * sum_[lane / kWidth]);
      if (wide) store(out + kWidth, load(out + kWidth) + load(sums + kWidth) * sum_[lane / kWidth + 1]);
    }
  }

  static constexpr float kFar = 0x1p64F;

  const KeyTile& tile_;
  const ForwardBlock& block_;
  Numbers numbers_;
  int64_t first_, keys_;
  Register shift_[kVectors], sum_[kVectors], rounded_[kVectors];
};

template <class Numbers, class Make>
void forward_pieces(const KeyTile& tile, const ForwardBlock& block, const Make& numbers) {
  const Tiles tiles;
  Fetcher fetcher(tile);
  for (int64_t key = 0; key < tile.keys; key += Numbers::kPiece) {
    Piece<Numbers>(tile, block, key, std::min(Numbers::kPiece, tile.keys - key), numbers).run(fetcher);
  }
}

}  // namespace

void forward(const KeyTile& tile, const ForwardBlock& block) {
  if (tile.bf16 != nullptr) {
    return forward_pieces<Bf16Numbers>(tile, block, [&](int64_t first) { return Bf16Numbers(tile, block, first); });
  }
  thread_local Space space;
  if (tile.split != nullptr) {
    uint16_t* const q = space.take(parts_size(block.lanes, tile.key_width));
    if (split_pairs({block.q, block.lanes}, tile.key_width, block.lanes, q)) {
      return forward_pieces<SplitNumbers>(tile, block, [&](int64_t first) { return SplitNumbers(tile, q, first); });
    }
  }
  avx512::tile_table().forward(tile, block);
}

}  // namespace perceive::kernels::PERCEIVE_ISA
