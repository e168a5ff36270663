// The loops of tile.h. One source, compiled once an instruction set.
#include "perceive/kernels/cpu/grid.h"
#include "perceive/kernels/cpu/product.h"
#include "perceive/kernels/cpu/softmax.h"
#include "perceive/kernels/cpu/tables.h"

namespace perceive::kernels::PERCEIVE_ISA {
namespace {

bool special(const KeyTile& tile) {
  return tile.add != nullptr || tile.multiply != nullptr;
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

// Scores and weights in one go; false where the block's references do not serve.
bool weigh(const KeyTile& tile, const ForwardBlock& block) {
  const Product p = scores_of(tile, tile.k, tile.key_width, block.q, block.scores, block.lanes);
  bool served = false;
  with_vectors(block.lanes / kWidth, [&]<int V>() {
    Weigher<V> weigher(block);
    const auto finish = [&weigher, scores = block.scores, lanes = block.lanes](int64_t row, int64_t column, int v,
                                                                               Register score) {
      store(scores + row * lanes + column, weigher(v, score));
    };
    multiply_columns<V>(p, 0, finish);
    served = weigher.commit();
  });
  return served;
}

void forward(const KeyTile& tile, const ForwardBlock& block) {
  if (tile.grid != nullptr) return grid_forward(tile, block);
  if (special(tile) || !weigh(tile, block)) {
    product(scores_of(tile, tile.k, tile.key_width, block.q, block.scores, block.lanes));
    for (int64_t lane = 0; lane < block.lanes; lane += kWidth) softmax(tile, block, lane);
  }
  add_sums(tile, tile.v, tile.value_width, block.scores, block.out, block.lanes);
}

// Weights into block.scores, and the gradients of the scores into block.grad_scores, as they leave their products.
template <bool kSpecial>
void weigh_backward(const KeyTile& tile, const BackwardBlock& block) {
  const int64_t lanes = block.lanes;
  multiply(scores_of(tile, tile.k, tile.key_width, block.q, block.scores, lanes),
           [=, tile = tile, block = block](int64_t row, int64_t column, int, Register score) {
             Register weight = exp2(score - load(block.lse + column));
             if constexpr (kSpecial) {
               if (tile.add != nullptr) {
                 weight = load(tile.add + row * lanes + column) < Register{} ? Register{} : weight;
               }
             }
             store(block.scores + row * lanes + column, weight);
           });
  multiply(scores_of(tile, tile.v, tile.value_width, block.grad_out, block.grad_scores, lanes),
           [=, tile = tile, block = block](int64_t row, int64_t column, int, Register grad) {
             const int64_t at = row * lanes + column;
             const Register weight = load(block.scores + at), delta = load(block.delta + column);
             if constexpr (kSpecial) {
               if (tile.multiply != nullptr) {
                 grad *= load(tile.multiply + at);
                 store(block.scores + at, weight * load(tile.multiply + at));
               }
             }
             store(block.grad_scores + at, weight * (grad - delta));
           });
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

void backward(const KeyTile& tile, const BackwardBlock& block) {
  if (tile.grid != nullptr) return grid_backward(tile, block);
  if (special(tile)) {
    weigh_backward<true>(tile, block);
  } else {
    weigh_backward<false>(tile, block);
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

void product_of(const Product& p) {
  product(p);
}

}  // namespace

const TileKernels& tile_table() {
  static constexpr TileKernels kTable = {kWidth, kWidth * kVectors, forward, backward, product_of};
  return kTable;
}

}  // namespace perceive::kernels::PERCEIVE_ISA
