// One tile of scores: what may be seen, the online softmax, and the way back.
#pragma once

#include <ATen/core/Tensor.h>

#include "perceive/ops/formula/keys.h"

namespace perceive::ops::formula {

// Sizes and rules that hold for a whole call.
struct Problem {
  int64_t heads = 0, queries = 0;
  int64_t first = 0, length = 0;  // the keys at hand are first … of a sequence of `length`
  AttendScalars scalars;
  at::Tensor mask;  // [B|1, H|1, N|1, m|1] bool, or undefined
};

// A block of queries against a block of keys, of some batch items.
struct Block {
  Range items, queries, keys;
};

// Whether no query of the block may see a key of it.
bool all_in_future(const Problem& problem, const Block& block);
// [b|1, H|1, n|1, t] true where a query sees a key; undefined where all do.
at::Tensor visible(const Problem& problem, const Block& block);
// [b, H, n, t]: 0 where dropout drops, 1 / (1 - p) where it keeps.
at::Tensor dropout_scale(const Problem& problem, const Block& block, const at::TensorOptions& options);

// The softmax statistics and weighted values of some queries, over the keys seen so far (FlashAttention, Dao 2022,
// algorithm 1): highest score, sum of exponentials, and unnormalised output.
struct Running {
  at::Tensor highest, sum, out;  // [b, H, n], [b, H, n], [b, H, n, Dv]

  static Running empty(at::IntArrayRef rows, int64_t value_width, const at::TensorOptions& options);
  Running queries(const Range& range) const;
  // `q` [b, H, n, D] carries the scale already.
  void add(const at::Tensor& q, const KeyTile& tile, const Problem& problem, const Block& block);
  void add(const Running& other);
  at::Tensor normalised() const;
  at::Tensor lse() const;
};

// What the backward pass knows of some queries.
struct QueryState {
  at::Tensor q;         // [b, H, n, D], scaled
  at::Tensor lse;       // [b, H, n, 1], +inf where no key was seen
  at::Tensor grad_out;  // [b, H, n, Dv]
  at::Tensor delta;     // [b, H, n, 1]: sum of grad_out · out, less the gradient of lse
};

struct BlockGradients {
  at::Tensor q;     // of the scaled q
  at::Tensor k, v;  // summed over the queries of each key's head
};

BlockGradients backward(const QueryState& queries, const KeyTile& tile, const Problem& problem, const Block& block);

}  // namespace perceive::ops::formula
