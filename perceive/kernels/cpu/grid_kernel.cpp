// The separable plan's loops. A key's features are few inputs and one row of a table for every axis of its grid, so its
// score is a short product and a sum of table entries, and its share in the output goes to the same few rows.
#include "perceive/kernels/cpu/grid.h"
#include "perceive/kernels/cpu/product.h"
#include "perceive/kernels/cpu/softmax.h"

namespace perceive::kernels::PERCEIVE_ISA {
namespace {

using Segment = GridKeys::Segment;
constexpr int kKeys = 4;  // worked on at once

// The sum of the rows that all keys of a segment share.
template <int V>
inline void shared_rows(const Segment& segment, const float* rows, int64_t lanes, Register (&sums)[V]) {
  for (int v = 0; v < V; ++v) sums[v] = Register{};
  for (int s = 0; s < segment.shared; ++s) {
    for (int v = 0; v < V; ++v) sums[v] += load(rows + segment.rows[s] * lanes + v * kWidth);
  }
}

// The scores of R keys of a segment from j on, against `rows` [features][lanes], to finish(j, 0, scores).
template <int R, int V, int D, class Finish>
__attribute__((always_inline)) inline void scores_of_keys(const GridKeys& grid, int64_t j, const float* rows,
                                                          int64_t lanes, const Register (&shared)[V], Finish& finish) {
  const int64_t depth = D < 0 ? grid.depth : D;
  const float* const constant = rows + grid.constant * lanes;
  const float* const x = grid.inputs.data + j * grid.inputs.stride;
  Register scores[R][V];
#pragma GCC unroll 4
  for (int r = 0; r < R; ++r) {
    const float* const column = rows + grid.column[j + r] * lanes;
    const Register factor = broadcast(grid.factor[j + r]);
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      scores[r][v] = (load(column + v * kWidth) + shared[v]) * factor + load(constant + v * kWidth);
    }
  }
#pragma GCC unroll 4
  for (int64_t d = 0; d < depth; ++d) {
    Register row[V];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) row[v] = load(rows + d * lanes + v * kWidth);
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) {
      const Register input = broadcast(x[r * grid.inputs.stride + d]);
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) scores[r][v] += input * row[v];
    }
  }
  finish(j, 0, scores);
}

// Those of all keys of a tile. D inputs, or any number of them (-1).
template <int V, int D, class Finish>
inline void scores_of(const KeyTile& tile, const float* rows, int64_t lanes, Finish& finish) {
  const GridKeys& grid = *tile.grid;
  for (int64_t s = 0; s < grid.segment_count; ++s) {
    const Segment& segment = grid.segments[s];
    Register shared[V];
    shared_rows<V>(segment, rows, lanes, shared);
    int64_t j = segment.begin;
    for (; j + kKeys <= segment.end; j += kKeys) scores_of_keys<kKeys, V, D>(grid, j, rows, lanes, shared, finish);
    for (; j < segment.end; ++j) scores_of_keys<1, V, D>(grid, j, rows, lanes, shared, finish);
  }
}

// rows [features][lanes] += what the keys' weights [keys][lanes] give to their inputs, columns and shared rows.
template <int V, int D>
inline void add_sums(const KeyTile& tile, const float* weights, float* rows, int64_t lanes) {
  const GridKeys& grid = *tile.grid;
  constexpr int kHeld = D < 0 ? 1 : D + 1;
  const auto add = [&](int64_t row, int v, Register sum) {
    float* const to = rows + row * lanes + v * kWidth;
    store(to, load(to) + sum);
  };
  Register inputs[kHeld][V] = {};
  for (int64_t s = 0; s < grid.segment_count; ++s) {
    const Segment& segment = grid.segments[s];
    Register shared[V] = {};
    for (int64_t j = segment.begin; j < segment.end; ++j) {
      const float* const x = grid.inputs.data + j * grid.inputs.stride;
      float* const column = rows + grid.column[j] * lanes;
      const Register factor = broadcast(grid.factor[j]);
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) {
        const Register weight = load(weights + j * lanes + v * kWidth), scaled = weight * factor;
        store(column + v * kWidth, load(column + v * kWidth) + scaled);
        shared[v] += scaled;
        inputs[kHeld - 1][v] += weight;
        if constexpr (D >= 0) {
#pragma GCC unroll 8
          for (int d = 0; d < D; ++d) inputs[d][v] += weight * broadcast(x[d]);
        } else {
          for (int64_t d = 0; d < grid.depth; ++d) add(d, v, weight * broadcast(x[d]));
        }
      }
    }
    for (int r = 0; r < segment.shared; ++r) {
      for (int v = 0; v < V; ++v) add(segment.rows[r], v, shared[v]);
    }
  }
  for (int v = 0; v < V; ++v) {
    if constexpr (D >= 0) {
      for (int d = 0; d < D; ++d) add(d, v, inputs[d][v]);
    }
    add(grid.constant, v, inputs[kHeld - 1][v]);
  }
}

// body.template operator()<V, D>() for each panel of vectors of a block, beginning at a lane.
template <class Body>
void with_sizes(int64_t depth, int64_t vectors, Body&& body) {
  with_vectors(vectors, [&]<int V>() {
    switch (depth) {
      case 1:
        return body.template operator()<V, 1>();
      case 2:
        return body.template operator()<V, 2>();
      case 3:
        return body.template operator()<V, 3>();
      case 4:
        return body.template operator()<V, 4>();
      default:
        return body.template operator()<V, -1>();
    }
  });
}

}  // namespace

void grid_forward(const KeyTile& tile, const ForwardBlock& block) {
  const int64_t lanes = block.lanes;
  with_sizes(tile.grid->depth, lanes / kWidth, [&]<int V, int D>() {
    const Store to{{block.scores, lanes}};
    bool served = false;
    if (!special(tile)) {
      Weigher<V> weigher(block);
      const auto finish = [&]<int R>(int64_t j, int64_t lane, Register(&scores)[R][V]) {
        weigher(scores);
        to(j, lane, scores);
      };
      scores_of<V, D>(tile, block.q, lanes, finish);
      served = weigher.commit();
    }
    if (!served) {
      scores_of<V, D>(tile, block.q, lanes, to);
      for (int64_t lane = 0; lane < lanes; lane += kWidth) softmax(tile, block, lane);
    }
    add_sums<V, D>(tile, block.scores, block.out, lanes);
  });
}

void grid_backward(const KeyTile& tile, const BackwardBlock& block) {
  const int64_t lanes = block.lanes;
  with_sizes(tile.grid->depth, lanes / kWidth, [&]<int V, int D>() {
    const WeighAgain<true> weigh{tile.add, block.lse, block.scores, lanes};
    scores_of<V, D>(tile, block.q, lanes, weigh);
    const Differentiate<true> differentiate{tile.multiply, block.delta, block.scores, block.grad_scores, lanes};
    scores_of<V, D>(tile, block.grad_out, lanes, differentiate);
    add_sums<V, D>(tile, block.grad_scores, block.grad_q, lanes);
    add_sums<V, D>(tile, block.scores, block.context, lanes);
  });
}

}  // namespace perceive::kernels::PERCEIVE_ISA
