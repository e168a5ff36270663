// The backward pass of keys in bfloat16, or of float32 in parts. Weights and the gradients of the scores are kept once
// as rows of keys to meet the queries, once as pairs of keys to meet the keys; all sums are float32.
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

// Keys and queries in bfloat16, weights and gradients rounded to it.
class Bf16Numbers {
 public:
  static constexpr int64_t kPiece = 96;    // keys whose weights are held
  static constexpr int64_t kProducts = 1;  // a step

  Bf16Numbers(const KeyTile& tile, const BackwardBlock& block, int64_t first)
      : keys_(*tile.bf16),
        block_(block),
        first_(first),
        key_steps_(bf16_steps(tile.key_width)),
        key_pitch_(key_steps_ * kStep),
        value_pitch_(bf16_steps(tile.value_width) * kStep) {}

  static Register weight(Register score) { return rough_exp2(score); }
  // Each adds 32 terms to a square: to scores, to gradients of weights, to grad_q, grad_v and grad_k.
  void multiply_keys(int64_t key, int64_t lane, int64_t step, int64_t, bool wide) const {
    multiply_square(keys_.k + (first_ + key) * keys_.stride + step * kStep, keys_.stride,
                    block_.q_pairs + step * kStep / 2 * block_.lanes + lane, block_.lanes, wide);
  }
  void multiply_values(int64_t key, int64_t lane, int64_t step, int64_t, bool wide) const {
    multiply_square(keys_.v_rows + (first_ + key) * keys_.v_stride + step * kStep, keys_.v_stride,
                    block_.grad_out_pairs + step * kStep / 2 * block_.lanes + lane, block_.lanes, wide);
  }
  void add_to_queries(int64_t row, int64_t lane, int64_t step) const {
    multiply_square(keys_.k_packed + ((first_ / kStep + step) * key_steps_ + row / kStep) * kStep * kStep, kStep,
                    reinterpret_cast<const uint32_t*>(grad_pairs_) + step * kStep / 2 * kLanes + lane, kLanes, true);
  }
  void add_to_values(int64_t key, int64_t column, int64_t step) const {
    multiply_square(weights_ + key * kLanes + step * kStep, kLanes,
                    block_.grad_out_row_pairs + step * kStep / 2 * value_pitch_ + column, value_pitch_, true);
  }
  void add_to_keys(int64_t key, int64_t column, int64_t step) const {
    multiply_square(grads_ + key * kLanes + step * kStep, kLanes,
                    block_.q_row_pairs + step * kStep / 2 * key_pitch_ + column, key_pitch_, true);
  }
  // Keeps those of two keys, [key][vector].
  void put(int64_t key, int64_t lane, const Register (&weights)[2][2], const Register (&grads)[2][2]) {
    for (int64_t r = 0; r < 2; ++r) {
      const int64_t row = (key + r) * kLanes + lane;
      store(reinterpret_cast<float*>(weights_ + row), round_row(weights[r][0], weights[r][1]));
      store(reinterpret_cast<float*>(grads_ + row), round_row(grads[r][0], grads[r][1]));
    }
    float* const pairs = grad_pairs_ + key / 2 * kLanes + lane;
    for (int64_t v = 0; v < 2; ++v) store(pairs + v * kWidth, round_pair(grads[0][v], grads[1][v]));
  }

 private:
  const Bf16Keys& keys_;
  const BackwardBlock& block_;
  int64_t first_, key_steps_, key_pitch_, value_pitch_;
  alignas(64) uint16_t weights_[kPiece * kLanes], grads_[kPiece * kLanes];  // [keys][lanes]
  alignas(64) float grad_pairs_[kPiece / 2 * kLanes];                       // [pairs of keys][lanes]
};

// All that a block of float32 brings along, in blocks of b's.
struct SplitBlock {
  const uint16_t *q, *grad_out, *q_rows, *grad_out_rows;
};

// All of them float32, in parts.
class SplitNumbers {
 public:
  static constexpr int64_t kPiece = 64;
  static constexpr int64_t kProducts = kPartProducts;

  SplitNumbers(const KeyTile& tile, const SplitBlock& block, int64_t lanes, int64_t first)
      : keys_(*tile.split),
        block_(block),
        first_(first / kStep),
        lane_steps_(bf16_steps(lanes)),
        key_steps_(bf16_steps(tile.keys)),
        key_width_(bf16_steps(tile.key_width)),
        value_width_(bf16_steps(tile.value_width)) {}

  static Register weight(Register score) { return exp2(score); }
  void multiply_keys(int64_t key, int64_t lane, int64_t step, int64_t product, bool wide) const {
    multiply_parts(keys_.k_rows + ((first_ + key / kStep) * key_width_ + step) * kBlock,
                   block_.q + (lane / kStep * key_width_ + step) * kBlock, product, wide);
  }
  void multiply_values(int64_t key, int64_t lane, int64_t step, int64_t product, bool wide) const {
    multiply_parts(keys_.v_rows + ((first_ + key / kStep) * value_width_ + step) * kBlock,
                   block_.grad_out + (lane / kStep * value_width_ + step) * kBlock, product, wide);
  }
  void add_to_queries(int64_t row, int64_t lane, int64_t step) const {
    multiply_blocks(keys_.k_columns + (row / kStep * key_steps_ + first_ + step) * kBlock,
                    grad_pairs_ + at(step * kStep, lane), true);
  }
  void add_to_values(int64_t key, int64_t column, int64_t step) const {
    multiply_blocks(weights_ + at(key, step * kStep),
                    block_.grad_out_rows + (column / kStep * lane_steps_ + step) * kBlock, true);
  }
  void add_to_keys(int64_t key, int64_t column, int64_t step) const {
    multiply_blocks(grads_ + at(key, step * kStep), block_.q_rows + (column / kStep * lane_steps_ + step) * kBlock,
                    true);
  }
  void put(int64_t key, int64_t lane, const Register (&weights)[2][2], const Register (&grads)[2][2]) {
    const int64_t block = at(key, lane), row = key % kStep;
    for (int64_t r = 0; r < 2; ++r) {
      put_row(parts_of(weights[r][0]), parts_of(weights[r][1]), row + r, weights_ + block);
    }
    Parts parts[2][2];
    for (int64_t r = 0; r < 2; ++r) {
      for (int64_t v = 0; v < 2; ++v) parts[r][v] = parts_of(grads[r][v]);
      put_row(parts[r][0], parts[r][1], row + r, grads_ + block);
    }
    for (int64_t v = 0; v < 2; ++v) put_pairs(parts[0][v], parts[1][v], row / 2, v * kWidth, grad_pairs_ + block);
  }

 private:
  static int64_t at(int64_t key, int64_t lane) { return (key / kStep * (kLanes / kStep) + lane / kStep) * kBlock; }
  static constexpr int64_t kHeld = kPiece / kStep * (kLanes / kStep) * kBlock;

  const SplitKeys& keys_;
  const SplitBlock& block_;
  int64_t first_, lane_steps_, key_steps_, key_width_, value_width_;  // in steps
  alignas(64) uint16_t weights_[kHeld], grads_[kHeld], grad_pairs_[kHeld];
};

// A piece of a tile against a block.
template <class Numbers>
class BackwardPiece {
 public:
  template <class Make>
  BackwardPiece(const KeyTile& tile, const BackwardBlock& block, int64_t first, int64_t keys, const Make& numbers)
      : tile_(tile), block_(block), numbers_(numbers(first)), first_(first), keys_(keys) {}

  void run(Fetcher& fetcher) {
    weigh_all(fetcher);
    add_to_queries();
    if (block_.grad_v.data != nullptr) {
      add_to_keys(tile_.value_width, 1.0F, block_.grad_v,
                  [&](int64_t key, int64_t column, int64_t s) { numbers_.add_to_values(key, column, s); });
    }
    if (block_.grad_k.data != nullptr) {
      add_to_keys(tile_.key_width, block_.scale, block_.grad_k,
                  [&](int64_t key, int64_t column, int64_t s) { numbers_.add_to_keys(key, column, s); });
    }
  }

 private:
  // Of 32 keys and 32 lanes: scores, and gradients of the weights.
  struct Squares {
    alignas(64) float scores[kStep * kStep], grads[kStep * kStep];
  };
  // Multiplies for them, bit by bit. Beyond the last key there is nothing to do.
  class Multiplier {
   public:
    Multiplier(const BackwardPiece& piece, int64_t key, int64_t lane, Squares& squares)
        : key(key),
          lane(lane),
          numbers_(piece.numbers_),
          squares_(squares),
          wide_(piece.wide(lane)),
          scores_(bf16_steps(piece.tile_.key_width) * Numbers::kProducts),
          all_(key < piece.keys_ ? scores_ + bf16_steps(piece.tile_.value_width) * Numbers::kProducts : 0) {
      zero_square();
    }
    // Adds what is due when so many of kStep rows have passed.
    void advance(int64_t rows) {
      for (const int64_t due = (all_ * rows + kStep - 1) / kStep; done_ < due; ++done_) {
        if (done_ == scores_) {
          store_square(squares_.scores, kStep, wide_);
          zero_square();
        }
        const int64_t at = done_ < scores_ ? done_ : done_ - scores_;
        const int64_t step = at / Numbers::kProducts, product = at % Numbers::kProducts;
        if (done_ < scores_) {
          numbers_.multiply_keys(key, lane, step, product, wide_);
        } else {
          numbers_.multiply_values(key, lane, step, product, wide_);
        }
      }
    }
    void finish() {
      advance(kStep);
      store_square(squares_.grads, kStep, wide_);
    }

    const int64_t key, lane;

   private:
    const Numbers& numbers_;
    Squares& squares_;
    bool wide_;
    int64_t scores_, all_, done_ = 0;
  };
  bool wide(int64_t lane) const { return lane + kWidth < block_.lanes; }

  void weigh_all(Fetcher& fetcher) {
    const bool is_special = special(tile_);
    Squares squares[2];
    int turn = 0;
    int64_t key = 0, lane = 0;
    Multiplier(*this, 0, 0, squares[0]).finish();
    while (key < keys_) {
      const bool last = lane + kStep >= block_.lanes;
      Multiplier next(*this, last ? key + kStep : key, last ? 0 : lane + kStep, squares[1 - turn]);
      if (lane == 0) fetcher.next(kStep);
      is_special ? weigh<true>(squares[turn], key, lane, next) : weigh<false>(squares[turn], key, lane, next);
      next.finish();
      turn = 1 - turn;
      key = next.key;
      lane = next.lane;
    }
  }

  template <bool kSpecial>
  void weigh(const Squares& squares, int64_t key, int64_t lane, Multiplier& next) {
    const Register factor = broadcast(block_.factor);
    const int vectors = wide(lane) ? 2 : 1;
    Register lse[2] = {}, delta[2] = {};
    for (int v = 0; v < vectors; ++v) {
      lse[v] = load(block_.lse + lane + v * kWidth);
      delta[v] = load(block_.delta + lane + v * kWidth);
    }
    for (int64_t j = 0; j < kStep; j += 2) {
      next.advance(j + 2);
      // Of two keys and two vectors; zero where there is no key or no lane.
      Register weights[2][2] = {}, grads[2][2] = {};
      for (int r = 0; r < 2; ++r) {
        if (key + j + r >= keys_) break;
        for (int v = 0; v < vectors; ++v) {
          const int64_t at = (j + r) * kStep + v * kWidth;
          Register weight = Numbers::weight(load(squares.scores + at) * factor - lse[v]);
          Register grad = load(squares.grads + at);
          Register given = weight;
          if constexpr (kSpecial) {
            const int64_t place = (first_ + key + j + r) * block_.lanes + lane + v * kWidth;
            if (tile_.add != nullptr) weight = load(tile_.add + place) < Register{} ? Register{} : weight;
            given = weight;
            if (tile_.multiply != nullptr) {
              grad *= load(tile_.multiply + place);
              given *= load(tile_.multiply + place);
            }
          }
          weights[r][v] = given;
          grads[r][v] = weight * (grad - delta[v]);
        }
      }
      numbers_.put(key + j, lane, weights, grads);
    }
  }

  // body(32 x 32 sums, row, column) for each square of a product, while the next one is multiplied; step(row, column,
  // s) adds 32 terms.
  template <class Step, class Body>
  static void for_squares(int64_t rows, int64_t columns, int64_t steps, Step&& step, Body&& body) {
    alignas(64) float sums[2][kStep * kStep];
    const int64_t across = bf16_steps(columns), count = bf16_steps(rows) * across;
    for (int64_t i = 0; i <= count; ++i) {
      if (i < count) {
        zero_square();
        for (int64_t s = 0; s < steps; ++s) step(i / across * kStep, i % across * kStep, s);
      }
      if (i > 0) body(sums[(i - 1) % 2], (i - 1) / across * kStep, (i - 1) % across * kStep);
      if (i < count) store_square(sums[i % 2], kStep, true);
    }
  }
  static void add(const float* sums, int64_t rows, int64_t columns, float factor, float* to, int64_t stride) {
    for (int64_t r = 0; r < std::min(rows, kStep); ++r) {
      for (int64_t c = 0; c < std::min(columns, kStep); c += kWidth) {
        store(to + r * stride + c, load(to + r * stride + c) + load(sums + r * kStep + c) * factor);
      }
    }
  }

  // grad_q [key_width][lanes] += k^T grads.
  void add_to_queries() {
    for_squares(
        tile_.key_width, block_.lanes, bf16_steps(keys_),
        [&](int64_t row, int64_t lane, int64_t s) { numbers_.add_to_queries(row, lane, s); },
        [&](const float* sums, int64_t row, int64_t lane) {
          add(sums, tile_.key_width - row, block_.lanes - lane, 1.0F, block_.grad_q + row * block_.lanes + lane,
              block_.lanes);
        });
  }

  // grad [keys][padded width] += scale · rows of weights times rows of the block.
  template <class Step>
  void add_to_keys(int64_t width, float scale, const Rows& grad, const Step& step) {
    const int64_t padded = (width + kWidth - 1) / kWidth * kWidth;
    for_squares(keys_, width, bf16_steps(block_.lanes), step, [&](const float* sums, int64_t key, int64_t column) {
      add(sums, keys_ - key, padded - column, scale, grad.data + (first_ + key) * grad.stride + column, grad.stride);
    });
  }

  const KeyTile& tile_;
  const BackwardBlock& block_;
  Numbers numbers_;
  int64_t first_, keys_;
};

template <class Numbers, class Make>
void backward_pieces(const KeyTile& tile, const BackwardBlock& block, const Make& numbers) {
  const Tiles tiles;
  Fetcher fetcher(tile);
  for (int64_t key = 0; key < tile.keys; key += Numbers::kPiece) {
    BackwardPiece<Numbers>(tile, block, key, std::min(Numbers::kPiece, tile.keys - key), numbers).run(fetcher);
  }
}

}  // namespace

void backward(const KeyTile& tile, const BackwardBlock& block) {
  if (tile.bf16 != nullptr) {
    return backward_pieces<Bf16Numbers>(tile, block, [&](int64_t first) { return Bf16Numbers(tile, block, first); });
  }
  if (tile.split != nullptr && block.context == nullptr) {
    thread_local Space space;
    const int64_t lanes = block.lanes, key_size = parts_size(tile.key_width, lanes),
                  value_size = parts_size(tile.value_width, lanes);
    uint16_t* const q = space.take(2 * (key_size + value_size));
    uint16_t *const q_rows = q + key_size, *const grad_out = q_rows + key_size,
                    *const grad_out_rows = grad_out + value_size;
    const bool finite =
        split_pairs({block.q, lanes}, tile.key_width, lanes, q) &&
        split_pairs({block.grad_out, lanes}, tile.value_width, lanes, grad_out) &&
        (block.grad_k.data == nullptr || split_pairs(block.q_rows, block.queries, tile.key_width, q_rows)) &&
        (block.grad_v.data == nullptr ||
         split_pairs(block.grad_out_rows, block.queries, tile.value_width, grad_out_rows));
    if (finite) {
      const SplitBlock parts{q, grad_out, q_rows, grad_out_rows};
      return backward_pieces<SplitNumbers>(tile, block,
                                           [&](int64_t first) { return SplitNumbers(tile, parts, lanes, first); });
    }
  }
  avx512::tile_table().backward(tile, block);
}

}  // namespace perceive::kernels::PERCEIVE_ISA
