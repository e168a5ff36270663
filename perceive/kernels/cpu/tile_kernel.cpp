// The loops of tile.h. One source, compiled once an instruction set with PERCEIVE_KERNELS naming the table it defines.
#include <cmath>
#include <cstring>
#include <limits>

#include "perceive/kernels/cpu/tables.h"

namespace perceive::kernels {
namespace {

#if defined(__AVX512F__)
constexpr int kWidth = 16, kVectors = 4, kRows = 6;  // 24 accumulators of 32 registers
constexpr const char* kName = "avx512";
#elif defined(__AVX2__)
constexpr int kWidth = 8, kVectors = 2, kRows = 6;  // 12 of 16
constexpr const char* kName = "avx2";
#else
constexpr int kWidth = 4, kVectors = 2, kRows = 4;
constexpr const char* kName = "default";
#endif

using Vector = float __attribute__((vector_size(kWidth * 4), aligned(4), may_alias));
using Integers = int32_t __attribute__((vector_size(kWidth * 4)));
using Register = float __attribute__((vector_size(kWidth * 4)));

inline Register load(const float* p) {
  return *reinterpret_cast<const Vector*>(p);
}
inline void store(float* p, Register x) {
  *reinterpret_cast<Vector*>(p) = x;
}
inline Register broadcast(float x) {
  return x - Register{};
}
// NaN in a stays NaN.
inline Register larger(Register a, Register b) {
  return a < b ? b : a;
}

// 2^x for x <= 128: to 2 ulp, zero below -126, NaN for NaN. Degree 5 on [-1/2, 1/2].
inline Register exp2(Register x) {
  const Register lowest = broadcast(-126.5F);
  const Register clamped = larger(x, lowest);
  const Register magic = broadcast(12582912.0F);  // 1.5 · 2^23 rounds to nearest and leaves the integer in the low bits
  const Register shifted = clamped + magic;
  const Register f = clamped - (shifted - magic);
  Register p = broadcast(1.3395176e-3F);
  p = p * f + 9.6736647e-3F;
  p = p * f + 5.5503324e-2F;
  p = p * f + 2.4022238e-1F;
  p = p * f + 6.9314721e-1F;
  p = p * f + 1.0F;
  const auto scaled = reinterpret_cast<Integers>(p) + (reinterpret_cast<Integers>(shifted) << 23);
  return x < lowest ? Register{} : reinterpret_cast<Register>(scaled);
}

// R rows of a product, V vectors of columns, all in registers.
template <int R, int V>
void multiply_rows(const Product& p, int64_t row, int64_t column) {
  Register sums[R][V];
  float* const c = p.c.data + row * p.c.stride + column;
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 16
    for (int v = 0; v < V; ++v) sums[r][v] = p.add ? load(c + r * p.c.stride + v * kWidth) : Register{};
  }
  const float* a = p.a + row * p.row_step;
  const float* b = p.b.data + column;
  for (int64_t d = 0; d < p.depth; ++d, a += p.depth_step, b += p.b.stride) {
    Register lanes[V];
#pragma GCC unroll 16
    for (int v = 0; v < V; ++v) lanes[v] = load(b + v * kWidth);
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      const Register x = broadcast(a[r * p.row_step]);
#pragma GCC unroll 16
      for (int v = 0; v < V; ++v) sums[r][v] += x * lanes[v];
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 16
    for (int v = 0; v < V; ++v) store(c + r * p.c.stride + v * kWidth, sums[r][v]);
  }
}

template <int V>
void multiply_columns(const Product& p, int64_t column) {
  // Fewer vectors leave registers for more rows, which the latency of an FMA needs.
  constexpr int kTall = kRows * kVectors / V < 12 ? kRows * kVectors / V : 12;
  int64_t row = 0;
  for (; row + kTall <= p.rows; row += kTall) multiply_rows<kTall, V>(p, row, column);
  if constexpr (kTall > 4) {
    for (; row + 4 <= p.rows; row += 4) multiply_rows<4, V>(p, row, column);
  }
  for (; row < p.rows; ++row) multiply_rows<1, V>(p, row, column);
}

void product(const Product& p) {
  int64_t column = 0;
  for (; column + kVectors * kWidth <= p.columns; column += kVectors * kWidth) multiply_columns<kVectors>(p, column);
  const auto left = (p.columns - column) / kWidth;
  if constexpr (kVectors == 4) {
    if (left == 3) return multiply_columns<3>(p, column);
    if (left == 2) return multiply_columns<2>(p, column);
  }
  if (left == 1) multiply_columns<1>(p, column);
}

// Moves the reference of a block's exponentials to `highest`, where some lane's scores outgrew it.
void rescale(const ForwardBlock& block, int64_t value_width, int64_t lane, Register highest) {
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

// Scores of one vector of lanes to weights, in place.
void softmax(const KeyTile& tile, const ForwardBlock& block, int64_t lane) {
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
  bool grows = false;
  const Integers outgrown = highest > reference + 8.0F;
  for (int i = 0; i < kWidth; ++i) grows |= outgrown[i] != 0;
  if (grows) rescale(block, tile.value_width, lane, larger(reference, highest));
  const Register now = load(block.highest + lane);
  const Register shift = now == broadcast(-INFINITY) ? Register{} : now;
  Register sum = load(block.sum + lane);
  for (int64_t j = 0; j < tile.keys; ++j) {
    Register weight = exp2(load(scores + j * lanes) - shift);
    sum += weight;
    if (tile.multiply != nullptr) weight *= load(tile.multiply + j * lanes + lane);
    store(scores + j * lanes, weight);
  }
  store(block.sum + lane, sum);
}

void forward(const KeyTile& tile, const ForwardBlock& block) {
  const int64_t lanes = block.lanes;
  product({.a = tile.k.data,
           .row_step = tile.k.stride,
           .b = {block.q, lanes},
           .c = {block.scores, lanes},
           .rows = tile.keys,
           .depth = tile.key_width,
           .columns = lanes});
  for (int64_t lane = 0; lane < lanes; lane += kWidth) softmax(tile, block, lane);
  product({.a = tile.v.data,
           .row_step = 1,
           .depth_step = tile.v.stride,
           .b = {block.scores, lanes},
           .c = {block.out, lanes},
           .rows = tile.value_width,
           .depth = tile.keys,
           .columns = lanes,
           .add = true});
}

// Scores to weights, and the gradients of weights to those of scores, in place.
void softmax_backward(const KeyTile& tile, const BackwardBlock& block) {
  const int64_t lanes = block.lanes;
  for (int64_t j = 0; j < tile.keys; ++j) {
    for (int64_t lane = 0; lane < lanes; lane += kWidth) {
      const int64_t at = j * lanes + lane;
      Register weight = exp2(load(block.scores + at) - load(block.lse + lane));
      Register grad = load(block.grad_scores + at);
      if (tile.add != nullptr) {
        weight = load(tile.add + at) < Register{} ? Register{} : weight;
      }
      if (tile.multiply != nullptr) grad *= load(tile.multiply + at);
      store(block.grad_scores + at, weight * (grad - load(block.delta + lane)));
      store(block.scores + at, tile.multiply != nullptr ? weight * load(tile.multiply + at) : weight);
    }
  }
}

void backward(const KeyTile& tile, const BackwardBlock& block) {
  const int64_t lanes = block.lanes;
  const auto against_keys = [&](const ConstRows& rows, int64_t depth, const float* b, float* c) {
    product({.a = rows.data,
             .row_step = rows.stride,
             .b = {b, lanes},
             .c = {c, lanes},
             .rows = tile.keys,
             .depth = depth,
             .columns = lanes});
  };
  against_keys(tile.k, tile.key_width, block.q, block.scores);
  against_keys(tile.v, tile.value_width, block.grad_out, block.grad_scores);
  softmax_backward(tile, block);
  product({.a = tile.k.data,
           .row_step = 1,
           .depth_step = tile.k.stride,
           .b = {block.grad_scores, lanes},
           .c = {block.grad_q, lanes},
           .rows = tile.key_width,
           .depth = tile.keys,
           .columns = lanes,
           .add = true});
  const auto to_keys = [&](const float* weights, const ConstRows& queries, const Rows& grad, int64_t width) {
    product({.a = weights,
             .row_step = lanes,
             .b = queries,
             .c = grad,
             .rows = tile.keys,
             .depth = block.queries,
             .columns = (width + kWidth - 1) / kWidth * kWidth,
             .add = true});
  };
  to_keys(block.scores, block.grad_out_rows, block.grad_v, tile.value_width);
  to_keys(block.grad_scores, block.q_rows, block.grad_k, tile.key_width);
}

}  // namespace

extern const TileKernels PERCEIVE_KERNELS;
const TileKernels PERCEIVE_KERNELS = {kName, kWidth, kWidth* kVectors, forward, backward, product};

}  // namespace perceive::kernels
