// The online softmax of a block of queries, and its way back: what becomes of scores in registers.
#pragma once

#include "perceive/kernels/cpu/vectors.h"
#include "perceive/kernels/tile.h"

namespace perceive::kernels::PERCEIVE_ISA {

// Whether a tile's weights need more than scores and references.
inline bool special(const KeyTile& tile) {
  return tile.add != nullptr || tile.multiply != nullptr;
}

// Exponentials are taken relative to a reference a lane (`highest`), which need not be the maximum: any within 2^kSlack
// of it keeps every digit that float32 has.
inline constexpr float kSlack = 64.0F;

// Weighs the scores of a tile in one pass, without a look at the maximum beforehand. A lane without a
// reference takes 0, which serves scores of usual size.
template <int V>
class Weigher {
 public:
  explicit Weigher(const ForwardBlock& block) : block_(block) {
    for (int v = 0; v < V; ++v) {
      const Register reference = load(block.highest + v * kWidth);
      shift_[v] = reference == broadcast(-INFINITY) ? Register{} : reference;
      highest_[v] = broadcast(-INFINITY);
      sum_[v] = Register{};
    }
  }
  // R keys' scores to weights, in place.
  template <int R>
  __attribute__((always_inline)) inline void operator()(Register (&scores)[R][V]) {
    // Kept in registers here: memory might change with every weight that is stored.
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      Register highest = highest_[v], sum = sum_[v];
      const Register shift = shift_[v];
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) {
        highest = larger(highest, scores[r][v]);
        scores[r][v] = exp2(scores[r][v] - shift);
        sum += scores[r][v];
      }
      highest_[v] = highest;
      sum_[v] = sum;
    }
  }
  // Takes the sums over, unless some lane's scores lie too far from its reference: then nothing has happened, and the
  // weights handed out are void.
  bool commit() const {
    Integers far = {};
    for (int v = 0; v < V; ++v) {
      const Integers fresh = load(block_.highest + v * kWidth) == broadcast(-INFINITY);
      far |= highest_[v] > shift_[v] + kSlack;
      far |= fresh & (highest_[v] < shift_[v] - kSlack);
    }
    if (any(far)) return false;
    for (int v = 0; v < V; ++v) {
      store(block_.highest + v * kWidth, shift_[v]);
      store(block_.sum + v * kWidth, load(block_.sum + v * kWidth) + sum_[v]);
    }
    return true;
  }
  Register sum(int v) const {
    return sum_[v];
  }

 private:
  const ForwardBlock& block_;
  Register shift_[V], highest_[V], sum_[V];
};

// Moves the reference of some lanes to `highest`.
inline void rescale(const ForwardBlock& block, int64_t value_width, int64_t lane, Register highest) {
  const Register old = load(block.highest + lane);
  // A lane that has seen no key yet has nothing to rescale; -inf - -inf would be NaN.
  const Register factor = old == broadcast(-INFINITY) ? Register{} : exp2(old - highest);
  store(block.highest + lane, highest);
  store(block.sum + lane, load(block.sum + lane) * factor);
  for (int64_t d = 0; d < value_width; ++d) {
    float* const out = block.out + d * block.lanes + lane;
    store(out, load(out) * factor);
  }
}

// Scores of one vector of lanes to weights, in place: for any scores, with masks and dropout.
inline void softmax(const KeyTile& tile, const ForwardBlock& block, int64_t lane) {
  float* const scores = block.scores + lane;
  const int64_t lanes = block.lanes;
  Register highest = broadcast(-INFINITY);
  for (int64_t j = 0; j < tile.keys; ++j) {
    Register score = load(scores + j * lanes);
    if (tile.add != nullptr) {
      // Not a sum: a masked NaN must vanish.
      const Register add = load(tile.add + j * lanes + lane);
      score = add < Register{} ? add : score;
      store(scores + j * lanes, score);
    }
    highest = larger(score, highest);
  }
  const Register reference = load(block.highest + lane);
  if (any(highest > reference + kSlack / 2)) rescale(block, tile.value_width, lane, larger(reference, highest));
  const Register now = load(block.highest + lane);
  const Register shift = now == broadcast(-INFINITY) ? Register{} : now;
  Register sum = load(block.sum + lane);
  for (int64_t j = 0; j < tile.keys; ++j) {
    const Register score = load(scores + j * lanes);
    Register weight = exp2(score - shift);
    weight = score == broadcast(-INFINITY) ? Register{} : weight;
    sum += weight;
    if (tile.multiply != nullptr) weight *= load(tile.multiply + j * lanes + lane);
    store(scores + j * lanes, weight);
  }
  store(block.sum + lane, sum);
}

// Backward: scores to weights [keys][lanes], from lse.
template <bool kSpecial>
struct WeighAgain {
  const float* add;  // of a special tile, or null
  const float* lse;
  float* weights;
  int64_t lanes;

  template <int R, int V>
  inline void operator()(int64_t key, int64_t lane, Register (&scores)[R][V]) const {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      const Register shift = load(lse + lane + v * kWidth);
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) {
        const int64_t at = (key + r) * lanes + lane + v * kWidth;
        Register weight = exp2(scores[r][v] - shift);
        if constexpr (kSpecial) {
          if (add != nullptr) weight = load(add + at) < Register{} ? Register{} : weight;
        }
        store(weights + at, weight);
      }
    }
  }
};

// Backward: gradients of the weights to those of the scores. The weights become those that met the values.
template <bool kSpecial>
struct Differentiate {
  const float* multiply;  // of a special tile, or null
  const float* delta;
  float* weights;
  float* grad_scores;
  int64_t lanes;

  template <int R, int V>
  inline void operator()(int64_t key, int64_t lane, Register (&grads)[R][V]) const {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      const Register shift = load(delta + lane + v * kWidth);
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) {
        const int64_t at = (key + r) * lanes + lane + v * kWidth;
        const Register weight = load(weights + at);
        if constexpr (kSpecial) {
          if (multiply != nullptr) {
            grads[r][v] *= load(multiply + at);
            store(weights + at, weight * load(multiply + at));
          }
        }
        store(grad_scores + at, weight * (grads[r][v] - shift));
      }
    }
  }
};

}  // namespace perceive::kernels::PERCEIVE_ISA
