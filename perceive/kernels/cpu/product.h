// The register-blocked product behind every loop: rows of scalars, broadcast, against vectors of columns.
#pragma once

#include "perceive/kernels/cpu/vectors.h"
#include "perceive/kernels/tile.h"

namespace perceive::kernels::PERCEIVE_ISA {

// R rows of a product, V vectors of columns, all in registers; finish(row, column, sums) takes the sums away.
template <int R, int V, class Finish>
__attribute__((always_inline)) inline void multiply_rows(const Product& p, int64_t row, int64_t column,
                                                         Finish& finish) {
  Register sums[R][V] = {};
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
  if (p.add) {
    // Only now: a long sum would round every small product that meets it.
    const float* const c = p.c.data + row * p.c.stride + column;
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 16
      for (int v = 0; v < V; ++v) sums[r][v] += load(c + r * p.c.stride + v * kWidth);
    }
  }
  finish(row, column, sums);
}

template <int V, class Finish>
void multiply_columns(const Product& p, int64_t column, Finish& finish) {
  // Fewer vectors leave registers for more rows, which the latency of an FMA needs.
  constexpr int kTall = kRows * kVectors / V < 12 ? kRows * kVectors / V : 12;
  int64_t row = 0;
  for (; row + kTall <= p.rows; row += kTall) multiply_rows<kTall, V>(p, row, column, finish);
  if constexpr (kTall > 4) {
    for (; row + 4 <= p.rows; row += 4) multiply_rows<4, V>(p, row, column, finish);
  }
  for (; row < p.rows; ++row) multiply_rows<1, V>(p, row, column, finish);
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

// The whole product, a panel of columns after the other.
template <class Finish>
void multiply(const Product& p, Finish&& finish) {
  for (int64_t column = 0; column < p.columns; column += kVectors * kWidth) {
    const int64_t left = (p.columns - column) / kWidth;
    with_vectors(left < kVectors ? left : kVectors, [&]<int V>() { multiply_columns<V>(p, column, finish); });
  }
}

struct Store {
  Rows c;
  template <int R, int V>
  void operator()(int64_t row, int64_t column, Register (&sums)[R][V]) const {
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 16
      for (int v = 0; v < V; ++v) store(c.data + (row + r) * c.stride + column + v * kWidth, sums[r][v]);
    }
  }
};

// A panel of columns so deep stays in the first cache while the rows pass by.
inline constexpr int64_t kDeepest = 8192 / (kWidth * kVectors);

// Runs all but the last of a deep product's layers, and returns the last.
inline Product last_layer(Product p) {
  while (p.depth > kDeepest) {
    Product layer = p;
    layer.depth = kDeepest;
    multiply(layer, Store{p.c});
    p.a += kDeepest * p.depth_step;
    p.b.data += kDeepest * p.b.stride;
    p.depth -= kDeepest;
    p.add = true;
  }
  return p;
}

inline void product(const Product& whole) {
  const Product p = last_layer(whole);
  multiply(p, Store{p.c});
}

}  // namespace perceive::kernels::PERCEIVE_ISA
