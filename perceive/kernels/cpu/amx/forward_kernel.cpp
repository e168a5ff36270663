// Attention over tiles of bfloat16 keys: products in tiles of registers, sums in float32.
//
// Scores come in squares of 32 keys and 32 lanes. While the tiles multiply for the next square, the vectors take the
// exponentials of the last one, which is most of the work.
#include <algorithm>

#include "perceive/kernels/cpu/amx/pack.h"
#include "perceive/kernels/cpu/amx/tiles.h"
#include "perceive/kernels/cpu/fetcher.h"
#include "perceive/kernels/cpu/softmax.h"
#include "perceive/kernels/cpu/tables.h"

namespace perceive::kernels::PERCEIVE_ISA {
namespace {

constexpr int64_t kStep = Bf16Keys::kStep;
constexpr int64_t kPiece = 192;  // keys whose weights are held
constexpr int64_t kLanes = kWidth * kVectors;

// A piece of a tile against a block.
class Piece {
 public:
  Piece(const KeyTile& tile, const ForwardBlock& block, int64_t first, int64_t keys)
      : tile_(tile), block_(block), first_(first), keys_(keys) {}

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
          stride_(piece.tile_.bf16->stride),
          lanes_(piece.block_.lanes),
          k_(piece.tile_.bf16->k + (piece.first_ + key) * stride_),
          q_(piece.block_.q_pairs + lane),
          steps_(key < piece.keys_ ? bf16_steps(piece.tile_.key_width) : 0) {
      zero_square();
    }
    // One of its product's steps, if there are any left.
    void step() {
      if (steps_ == 0) return;
      multiply_square(k_, stride_, q_, lanes_, wide);
      k_ += kStep;
      q_ += kStep / 2 * lanes_;
      --steps_;
    }
    void finish(float* scores, int64_t scores_stride) {
      while (steps_ > 0) step();
      store_square(scores, scores_stride, wide);
    }

    int64_t key, lane;
    bool wide;

   private:
    int64_t stride_, lanes_;
    const uint16_t* k_;
    const uint32_t* q_;
    int64_t steps_;
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
    Square now(*this, 0, 0);
    now.finish(scores[0], kStep);
    while (now.key < keys_) {
      const bool last = now.lane + kStep >= block_.lanes;
      Square next(*this, last ? now.key + kStep : now.key, last ? 0 : now.lane + kStep);
      if (now.lane == 0) fetcher.next(kStep);
      const bool whole = now.key + kStep <= keys_;
      if (now.wide) {
        whole ? weigh<2, true>(scores[turn], now, next) : weigh<2, false>(scores[turn], now, next);
      } else {
        whole ? weigh<1, true>(scores[turn], now, next) : weigh<1, false>(scores[turn], now, next);
      }
      turn = 1 - turn;
      next.finish(scores[turn], kStep);
      now = next;
    }
    return commit();
  }

  template <int V, bool kWhole>
  void weigh(const float* scores, const Square& square, Square& next) {
    const int64_t keys = kWhole ? kStep : keys_ - square.key;
    const Register factor = broadcast(block_.factor);
    Register shift[V], sum[V], rounded[V];
    for (int v = 0; v < V; ++v) {
      shift[v] = shift_[square.lane / kWidth + v];
      sum[v] = sum_[square.lane / kWidth + v];
      rounded[v] = rounded_[square.lane / kWidth + v];
    }
    float* to = weights_ + square.key / 2 * kLanes + square.lane;
    for (int64_t j = 0; j < kStep; to += kLanes) {
      if (j % 8 == 0) next.step();
      for (int v = 0; v < V; ++v) {
        Register weights[2] = {};
        for (int r = 0; r < 2; ++r) {
          if (!kWhole && j + r >= keys) break;
          weights[r] = rough_exp2(load(scores + (j + r) * kStep + v * kWidth) * factor - shift[v]);
          sum[v] += weights[r];
        }
        const Register pairs = pair(weights[0], weights[1]);
        rounded[v] = add_pairs(rounded[v], pairs);
        store(to + v * kWidth, pairs);
      }
      j += 2;
    }
    for (int v = 0; v < V; ++v) {
      sum_[square.lane / kWidth + v] = sum[v];
      rounded_[square.lane / kWidth + v] = rounded[v];
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
        const Register pairs = pair(load(weights), load(weights + lanes));
        sum += load(weights) + load(weights + lanes);
        rounded = add_pairs(rounded, pairs);
        store(weights_ + j / 2 * kLanes + lane, pairs);
      }
      sum_[lane / kWidth] = sum;
      rounded_[lane / kWidth] = rounded;
    }
  }

  // out += v^T weights, made up for what the weights lost: so a row that one key dominates is as exact as its value.
  void add_sums() {
    for (int64_t i = 0; i < block_.lanes / kWidth; ++i) {
      sum_[i] = rounded_[i] == Register{} ? broadcast(1.0F) : sum_[i] / rounded_[i];
    }
    alignas(64) float sums[2][kStep * kStep];
    const int64_t width_steps = bf16_steps(tile_.value_width), steps = bf16_steps(keys_);
    const uint16_t* const values = tile_.bf16->v + first_ * width_steps * kStep;
    const int64_t across = (block_.lanes + kStep - 1) / kStep, squares = width_steps * across;
    for (int64_t i = 0; i <= squares; ++i) {
      const int64_t w = i / across, lane = i % across * kStep;
      const bool wide = lane + kWidth < block_.lanes;
      if (i < squares) {
        zero_square();
        for (int64_t s = 0; s < steps; ++s) {
          multiply_square(values + (s * width_steps + w) * kStep * kStep, kStep,
                          reinterpret_cast<const uint32_t*>(weights_) + s * kStep / 2 * kLanes + lane, kLanes, wide);
        }
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
  int64_t first_, keys_;
  Register shift_[kVectors], sum_[kVectors], rounded_[kVectors];
  alignas(64) float weights_[kPiece / 2 * kLanes];  // [pairs of keys][lanes]
};

}  // namespace

void forward(const KeyTile& tile, const ForwardBlock& block) {
  if (tile.bf16 == nullptr) return avx512::tile_table().forward(tile, block);
  const Tiles tiles;
  Fetcher fetcher(tile);
  for (int64_t key = 0; key < tile.keys; key += kPiece) {
    Piece(tile, block, key, std::min(kPiece, tile.keys - key)).run(fetcher);
  }
}

}  // namespace perceive::kernels::PERCEIVE_ISA
