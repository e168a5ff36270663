// The loops of tile.h. One source, compiled once an instruction set.
#include <type_traits>

#include "perceive/kernels/cpu/fetcher.h"
#include "perceive/kernels/cpu/grid.h"
#include "perceive/kernels/cpu/product.h"
#include "perceive/kernels/cpu/softmax.h"
#include "perceive/kernels/cpu/tables.h"

namespace perceive::kernels::PERCEIVE_ISA {
namespace {

// Keys worked on at once: with the queries and sums of a block they stay in the first cache.
constexpr int64_t kPiece = 3072 / (kWidth * kVectors);

// body(piece of the tile, its first key)
template <class Body>
inline void for_pieces(const KeyTile& tile, int64_t lanes, const Body& body) {
  for (int64_t first = 0; first < tile.keys; first += kPiece) {
    KeyTile piece = tile;
    piece.keys = tile.keys - first < kPiece ? tile.keys - first : kPiece;
    piece.k.data += first * piece.k.stride;
    piece.v.data += first * piece.v.stride;
    if (piece.add != nullptr) piece.add += first * lanes;
    if (piece.multiply != nullptr) piece.multiply += first * lanes;
    body(piece, first);
  }
}

Product scores_of(const KeyTile& tile, const ConstRows& rows, int64_t depth, const float* q, float* scores,
                  int64_t lanes) {
  return {.a = rows.data,
          .row_step = rows.stride,
          .b = {q, lanes},
          .c = {scores, lanes},
          .rows = tile.keys,
          .depth = depth,
          .columns = lanes};
}

// c [width][lanes] += rows^T weights.
void add_sums(const KeyTile& tile, const ConstRows& rows, int64_t width, const float* weights, float* c,
              int64_t lanes) {
  product({.a = rows.data,
           .row_step = 1,
           .depth_step = rows.stride,
           .b = {weights, lanes},
           .c = {c, lanes},
           .rows = width,
           .depth = tile.keys,
           .columns = lanes,
           .add = true});
}

// take(key, lane, registers) of the scores [keys][lanes]: V vectors of two keys at a time.
template <int V, class Take>
inline void for_scores(const float* scores, int64_t keys, int64_t lanes, Take&& take) {
  const auto take_rows = [&]<int R>(int64_t key, int64_t lane, std::integral_constant<int, R>) {
    Register rows[R][V];
#pragma GCC unroll 2
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) rows[r][v] = load(scores + (key + r) * lanes + lane + v * kWidth);
    }
    take(key, lane, rows);
  };
  for (int64_t lane = 0; lane < lanes; lane += V * kWidth) {
    int64_t key = 0;
    for (; key + 2 <= keys; key += 2) take_rows(key, lane, std::integral_constant<int, 2>());
    if (key < keys) take_rows(key, lane, std::integral_constant<int, 1>());
  }
}

// Scores to weights, in one go; false where the block's references do not serve.
bool weigh(const KeyTile& tile, const ForwardBlock& block, Fetcher& fetcher) {
  bool served = false;
  with_vectors(block.lanes / kWidth, [&]<int V>() {
    Weigher<V> weigher(block);
    const Store to{{block.scores, block.lanes}};
    for_scores<V>(block.scores, tile.keys, block.lanes, [&]<int R>(int64_t key, int64_t lane, Register(&rows)[R][V]) {
      weigher(rows);
      to(key, lane, rows);
      fetcher.next(R);
    });
    served = weigher.commit();
  });
  return served;
}

void forward_piece(const KeyTile& tile, const ForwardBlock& block, Fetcher& fetcher) {
  const auto scores = scores_of(tile, tile.k, tile.key_width, block.q, block.scores, block.lanes);
  product(scores);
  if (special(tile) || !weigh(tile, block, fetcher)) {
    if (!special(tile)) product(scores);  // again, for they were overwritten
    for (int64_t lane = 0; lane < block.lanes; lane += kWidth) softmax(tile, block, lane);
  }
  add_sums(tile, tile.v, tile.value_width, block.scores, block.out, block.lanes);
}

void forward(const KeyTile& tile, const ForwardBlock& block) {
  if (tile.grid != nullptr) return grid_forward(tile, block);
  Fetcher fetcher(tile);
  for_pieces(tile, block.lanes, [&](const KeyTile& piece, int64_t) { forward_piece(piece, block, fetcher); });
}

// Weights into block.scores, and the gradients of the scores into block.grad_scores.
template <bool kSpecial>
void weigh_backward(const KeyTile& tile, const BackwardBlock& block, Fetcher& fetcher) {
  const int64_t lanes = block.lanes;
  product(scores_of(tile, tile.k, tile.key_width, block.q, block.scores, lanes));
  product(scores_of(tile, tile.v, tile.value_width, block.grad_out, block.grad_scores, lanes));
  const WeighAgain<kSpecial> weigh{tile.add, block.lse, block.scores, lanes};
  const Differentiate<kSpecial> differentiate{tile.multiply, block.delta, block.scores, block.grad_scores, lanes};
  for_scores<1>(block.scores, tile.keys, lanes, [&]<int R>(int64_t key, int64_t lane, Register(&rows)[R][1]) {
    weigh(key, lane, rows);
    if (lane == 0) fetcher.next(R);
  });
  for_scores<1>(block.grad_scores, tile.keys, lanes, differentiate);
}

// grad [keys][padded width] += weights queries.
void add_to_keys(const KeyTile& tile, const BackwardBlock& block, const float* weights, const ConstRows& queries,
                 const Rows& grad, int64_t width) {
  product({.a = weights,
           .row_step = block.lanes,
           .b = queries,
           .c = grad,
           .rows = tile.keys,
           .depth = block.queries,
           .columns = (width + kWidth - 1) / kWidth * kWidth,
           .add = true});
}

void backward_piece(const KeyTile& tile, const BackwardBlock& block, Fetcher& fetcher) {
  if (special(tile)) {
    weigh_backward<true>(tile, block, fetcher);
  } else {
    weigh_backward<false>(tile, block, fetcher);
  }
  add_sums(tile, tile.k, tile.key_width, block.grad_scores, block.grad_q, block.lanes);
  if (block.context != nullptr) {
    add_sums(tile, tile.v, tile.value_width, block.scores, block.context, block.lanes);
  }
  if (block.grad_v.data != nullptr) {
    add_to_keys(tile, block, block.scores, block.grad_out_rows, block.grad_v, tile.value_width);
  }
  if (block.grad_k.data != nullptr) {
    add_to_keys(tile, block, block.grad_scores, block.q_rows, block.grad_k, tile.key_width);
  }
}

void backward(const KeyTile& tile, const BackwardBlock& block) {
  if (tile.grid != nullptr) return grid_backward(tile, block);
  Fetcher fetcher(tile);
  for_pieces(tile, block.lanes, [&](const KeyTile& piece, int64_t first) {
    BackwardBlock of_piece = block;
    if (block.grad_k.data != nullptr) of_piece.grad_k.data += first * block.grad_k.stride;
    if (block.grad_v.data != nullptr) of_piece.grad_v.data += first * block.grad_v.stride;
    backward_piece(piece, of_piece, fetcher);
  });
}

void product_of(const Product& p) {
  product(p);
}

}  // namespace

const TileKernels& tile_table() {
  static constexpr TileKernels kTable = {kWidth, kWidth * kVectors, forward, backward, product_of};
  return kTable;
}

}  // namespace perceive::kernels::PERCEIVE_ISA
