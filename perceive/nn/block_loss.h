// A loss over very many rows, of which one block at a time has a graph.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <vector>

namespace perceive::nn {

// What a loss over rows is computed from, besides constants.
struct BlockLossInputs {
  at::Tensor shared;                   // what every block reads
  at::Tensor learned;                  // [rows, ·], of which a block reads its own rows; may be undefined
  std::vector<at::Tensor> parameters;  // what else needs gradients
};

// The loss of the rows from `first` on, a tensor of one number, from `shared` and those rows of `learned`.
using BlockLoss =
    std::function<at::Tensor(const at::Tensor& shared, const at::Tensor& learned, int64_t first, int64_t count)>;

// The sum of `loss` over blocks of at most `block` of the rows. Each block runs forward and backward here, and its
// graph is gone before the next; the gradients wait for the backward pass, which only scales them. Memory: those
// gradients and one block. They reach the three inputs, and nothing else that `loss` reads. Where no gradients are
// recorded, none are computed. Double backward is refused.
at::Tensor sum_of_block_losses(const BlockLoss& loss, const BlockLossInputs& inputs, int64_t rows, int64_t block);

}  // namespace perceive::nn
