// The backward pass of bfloat16 keys. Weights and the gradients of the scores are rounded to bfloat16, once as rows of
// keys to meet the queries, once as pairs of keys to meet the keys; all sums are float32.
#include <algorithm>

#include "perceive/kernels/cpu/amx/pack.h"
#include "perceive/kernels/cpu/amx/tiles.h"
#include "perceive/kernels/cpu/fetcher.h"
#include "perceive/kernels/cpu/softmax.h"
#include "perceive/kernels/cpu/tables.h"

namespace perceive::kernels::PERCEIVE_ISA {
namespace {

constexpr int64_t kStep = Bf16Keys::kStep;
constexpr int64_t kPiece = 96;  // keys whose weights are held
constexpr int64_t kLanes = kWidth * kVectors;

// A piece of a tile against a block.
class BackwardPiece {
 public:
  BackwardPiece(const KeyTile& tile, const BackwardBlock& block, int64_t first, int64_t keys)
      : tile_(tile), block_(block), keys_of_(*tile.bf16), first_(first), keys_(keys) {}

  void run(Fetcher& fetcher) {
    weigh_all(fetcher);
    add_to_queries();
    if (block_.grad_v.data != nullptr) {
      add_to_keys(weights_, block_.grad_out_row_pairs, tile_.value_width, 1.0F, block_.grad_v);
    }
    if (block_.grad_k.data != nullptr) {
      add_to_keys(grads_, block_.q_row_pairs, tile_.key_width, block_.scale, block_.grad_k);
    }
  }

 private:
  // Of 32 keys and 32 lanes: scores, and gradients of the weights.
  struct Squares {
    alignas(64) float scores[kStep * kStep], grads[kStep * kStep];
  };
  bool wide(int64_t lane) const { return lane + kWidth < block_.lanes; }

  void weigh_all(Fetcher& fetcher) {
    const bool is_special = special(tile_);
    Squares squares[2];
    const int64_t across = bf16_steps(block_.lanes), count = bf16_steps(keys_) * across;
    multiply_keys(0, 0, squares[0]);
    for (int64_t i = 0; i < count; ++i) {
      // The tiles begin with the next square, and the vectors need not wait for them.
      if (i + 1 < count) multiply_keys((i + 1) / across * kStep, (i + 1) % across * kStep, squares[(i + 1) % 2]);
      const int64_t key = i / across * kStep, lane = i % across * kStep;
      if (lane == 0) fetcher.next(kStep);
      is_special ? weigh<true>(squares[i % 2], key, lane) : weigh<false>(squares[i % 2], key, lane);
    }
  }

  void multiply_keys(int64_t key, int64_t lane, Squares& squares) const {
    const auto square = [&](const uint16_t* rows, int64_t stride, int64_t width, const uint32_t* pairs, float* to) {
      rows += (first_ + key) * stride;
      pairs += lane;
      zero_square();
      for (int64_t s = 0; s < bf16_steps(width); ++s) {
        multiply_square(rows + s * kStep, stride, pairs + s * kStep / 2 * block_.lanes, block_.lanes, wide(lane));
      }
      store_square(to, kStep, wide(lane));
    };
    square(keys_of_.k, keys_of_.stride, tile_.key_width, block_.q_pairs, squares.scores);
    square(keys_of_.v_rows, keys_of_.v_stride, tile_.value_width, block_.grad_out_pairs, squares.grads);
  }

  template <bool kSpecial>
  void weigh(const Squares& squares, int64_t key, int64_t lane) {
    const Register factor = broadcast(block_.factor);
    const int vectors = wide(lane) ? 2 : 1;
    Register lse[2] = {}, delta[2] = {};
    for (int v = 0; v < vectors; ++v) {
      lse[v] = load(block_.lse + lane + v * kWidth);
      delta[v] = load(block_.delta + lane + v * kWidth);
    }
    for (int64_t j = 0; j < kStep; j += 2) {
      // Of two keys and two vectors; zero where there is no key or no lane.
      Register weights[2][2] = {}, grads[2][2] = {};
      for (int r = 0; r < 2; ++r) {
        if (key + j + r >= keys_) break;
        for (int v = 0; v < vectors; ++v) {
          const int64_t at = (j + r) * kStep + v * kWidth;
          Register weight = rough_exp2(load(squares.scores + at) * factor - lse[v]);
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
      for (int r = 0; r < 2; ++r) {
        const int64_t row = (key + j + r) * kLanes + lane;
        store(reinterpret_cast<float*>(weights_ + row), round_row(weights[r][0], weights[r][1]));
        store(reinterpret_cast<float*>(grads_ + row), round_row(grads[r][0], grads[r][1]));
      }
      float* const pairs = grad_pairs_ + (key + j) / 2 * kLanes + lane;
      for (int v = 0; v < 2; ++v) store(pairs + v * kWidth, round_pair(grads[0][v], grads[1][v]));
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
    const int64_t width_steps = bf16_steps(tile_.key_width);
    const uint16_t* const keys = keys_of_.k_packed + first_ * width_steps * kStep;
    for_squares(
        tile_.key_width, block_.lanes, bf16_steps(keys_),
        [&](int64_t d, int64_t lane, int64_t s) {
          multiply_square(keys + (s * width_steps + d / kStep) * kStep * kStep, kStep,
                          reinterpret_cast<const uint32_t*>(grad_pairs_) + s * kStep / 2 * kLanes + lane, kLanes, true);
        },
        [&](const float* sums, int64_t d, int64_t lane) {
          add(sums, tile_.key_width - d, block_.lanes - lane, 1.0F, block_.grad_q + d * block_.lanes + lane,
              block_.lanes);
        });
  }

  // grad [keys][padded width] += scale · rows of weights times rows of the block.
  void add_to_keys(const uint16_t* weights, const uint32_t* row_pairs, int64_t width, float scale, const Rows& grad) {
    const int64_t pitch = bf16_steps(width) * kStep, padded = (width + kWidth - 1) / kWidth * kWidth;
    for_squares(
        keys_, width, bf16_steps(block_.lanes),
        [&](int64_t key, int64_t d, int64_t s) {
          multiply_square(weights + key * kLanes + s * kStep, kLanes, row_pairs + s * kStep / 2 * pitch + d, pitch,
                          true);
        },
        [&](const float* sums, int64_t key, int64_t d) {
          add(sums, keys_ - key, padded - d, scale, grad.data + (first_ + key) * grad.stride + d, grad.stride);
        });
  }

  const KeyTile& tile_;
  const BackwardBlock& block_;
  const Bf16Keys& keys_of_;
  int64_t first_, keys_;
  alignas(64) uint16_t weights_[kPiece * kLanes], grads_[kPiece * kLanes];  // [keys][lanes]
  alignas(64) float grad_pairs_[kPiece / 2 * kLanes];                       // [pairs of keys][lanes]
};

}  // namespace

void backward(const KeyTile& tile, const BackwardBlock& block) {
  if (tile.bf16 == nullptr) return avx512::tile_table().backward(tile, block);
  const Tiles tiles;
  Fetcher fetcher(tile);
  for (int64_t key = 0; key < tile.keys; key += kPiece) {
    BackwardPiece(tile, block, key, std::min(kPiece, tile.keys - key)).run(fetcher);
  }
}

}  // namespace perceive::kernels::PERCEIVE_ISA
