// The register-blocked product behind every loop: rows of scalars, broadcast, against vectors of columns.
#pragma once

#include "perceive/kernels/cpu/vectors.h"
#include "perceive/kernels/tile.h"

namespace perceive::kernels::PERCEIVE_ISA {

// R rows of a product, V vectors of columns, all in registers. kAlong: depth_step is 1, otherwise row_step is. kPacked:
// the rows of b have no more than the V vectors. Results go to memory at once: what else were done with them here would
// take registers from the loop.
template <int R, int V, bool kAlong, bool kPacked>
__attribute__((always_inline)) inline void multiply_rows(const Product& p, int64_t row, int64_t column) {
  Register sums[R][V] = {};
  const int64_t a_step = kAlong ? p.row_step : p.depth_step, b_step = kPacked ? V * kWidth : p.b.stride;
  // Additions to pointers share their ports with the multiply-adds: one for all rows, and that every few steps.
  constexpr int kSteps = 4, kPointers = kAlong ? R : kSteps;
  const float* a[kPointers];
  for (int i = 0; i < kPointers; ++i) {
    a[i] = p.a + row * p.row_step + i * a_step;
    keep(a[i]);
  }
  const float* b = p.b.data + column;
  int64_t at = 0;
  const auto step = [&](int d) __attribute__((always_inline)) {
    Register lanes[V];
#pragma GCC unroll 16
    for (int v = 0; v < V; ++v) lanes[v] = load(b + d * b_step + v * kWidth);
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      const Register x = broadcast(kAlong ? a[r][at + d] : a[d][at + r]);
#pragma GCC unroll 16
      for (int v = 0; v < V; ++v) multiply_add(sums[r][v], x, lanes[v]);
    }
  };
  int64_t left = p.depth;
  for (; left >= kSteps; left -= kSteps) {
#pragma GCC unroll 4
    for (int d = 0; d < kSteps; ++d) step(d);
    at += kSteps * (kAlong ? 1 : a_step);
    b += kSteps * b_step;
  }
  for (; left > 0; --left) {
    step(0);
    at += kAlong ? 1 : a_step;
    b += b_step;
  }
  float* const c = p.c.data + row * p.c.stride + column;
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 16
    for (int v = 0; v < V; ++v) {
      float* const to = c + r * p.c.stride + v * kWidth;
      // Only now: a long sum would round every small product that meets it.
      store(to, p.add ? sums[r][v] + load(to) : sums[r][v]);
    }
  }
}

template <int V, bool kAlong, bool kPacked>
void multiply_panel(const Product& p, int64_t column) {
  // Fewer vectors leave registers for more rows, which the latency of an FMA needs.
  constexpr int kTall = kRows * kVectors / V < 12 ? kRows * kVectors / V : 12;
  int64_t row = 0;
  for (; row + kTall <= p.rows; row += kTall) multiply_rows<kTall, V, kAlong, kPacked>(p, row, column);
  if constexpr (kTall > 4) {
    for (; row + 4 <= p.rows; row += 4) multiply_rows<4, V, kAlong, kPacked>(p, row, column);
  }
  for (; row < p.rows; ++row) multiply_rows<1, V, kAlong, kPacked>(p, row, column);
}

template <int V, bool kPacked>
void multiply_columns(const Product& p, int64_t column) {
  if (p.depth_step == 1) {
    multiply_panel<V, true, kPacked>(p, column);
  } else {
    multiply_panel<V, false, kPacked>(p, column);
  }
}

// body.template operator()<V>() with V vectors, for 1 <= count <= kVectors.
template <class Body>
inline void with_vectors(int64_t count, Body&& body) {
  static_assert(kVectors == 2 || kVectors == 4);
  if constexpr (kVectors == 4) {
    if (count == 4) return body.template operator()<4>();
    if (count == 3) return body.template operator()<3>();
  }
  if (count == 2) return body.template operator()<2>();
  body.template operator()<1>();
}

// A panel of columns so deep stays in the first cache while the rows pass by.
inline constexpr int64_t kPanel = kWidth * kVectors, kDeepest = 8192 / kPanel;

// One layer of depth, a panel of columns after the other.
inline void multiply(const Product& layer) {
  constexpr int64_t kManyRows = 48;  // repay a copy of the panel
  for (int64_t column = 0; column < layer.columns; column += kPanel) {
    const int64_t left = layer.columns - column, columns = left < kPanel ? left : kPanel;
    with_vectors(columns / kWidth, [&]<int V>() {
      if (layer.b.stride == columns) return multiply_columns<V, true>(layer, column);
      if (layer.rows < kManyRows) return multiply_columns<V, false>(layer, column);
      // Rows far apart meet in the same few lines of the cache.
      alignas(64) float panel[kDeepest * V * kWidth];
      for (int64_t d = 0; d < layer.depth; ++d) {
        const float* const from = layer.b.data + d * layer.b.stride + column;
        for (int v = 0; v < V; ++v) store(panel + (d * V + v) * kWidth, load(from + v * kWidth));
      }
      Product copied = layer;
      copied.b = {panel, V * kWidth};
      copied.c.data += column;
      multiply_columns<V, true>(copied, 0);
    });
  }
}

inline void product(Product p) {
  for (; p.depth > kDeepest; p.depth -= kDeepest) {
    Product layer = p;
    layer.depth = kDeepest;
    multiply(layer);
    p.a += kDeepest * p.depth_step;
    p.b.data += kDeepest * p.b.stride;
    p.add = true;
  }
  multiply(p);
}

// Puts R rows of V vectors into c.
struct Store {
  Rows c;
  template <int R, int V>
  void operator()(int64_t row, int64_t column, Register (&values)[R][V]) const {
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 16
      for (int v = 0; v < V; ++v) store(c.data + (row + r) * c.stride + column + v * kWidth, values[r][v]);
    }
  }
};

}  // namespace perceive::kernels::PERCEIVE_ISA
