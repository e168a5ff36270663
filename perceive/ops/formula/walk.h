// Forward and backward over all tiles: how the work is split, and the parts put together in a fixed order.
#pragma once

#include <functional>
#include <memory>

#include "perceive/ops/formula/scores.h"

namespace perceive::ops::formula {

// The parts of a call. They follow from sizes alone, never from the number of threads, and are merged in their order:
// results have the same bits for any number of threads.
struct Split {
  int64_t items = 0, keys = 0;  // B, m
  int64_t item_tile = 0, query_tile = 0, key_tile = 0;
  std::vector<Range> item_parts, query_parts, key_parts;

  struct Part {
    Range items, queries, keys;
    size_t item_part, query_part, key_part;
  };
  size_t size() const { return item_parts.size() * query_parts.size() * key_parts.size(); }
  Part part(size_t index) const;
};

struct Sizes {
  int64_t items, heads, queries, keys, row_width;  // row_width: numbers a key holds, of all its heads
};
struct SplitRules {
  bool whole_items = false;  // all items in one part: for gradients that items share and that are as long as the input
  bool whole_queries = false;  // all queries in one part: where keys are computed, each is computed once
};
Split cut_work(const Sizes& sizes, const AttendScalars& scalars, const SplitRules& rules = {});

// Runs body(i) for every part, on libtorch's threads where the tensors are on a CPU; below autograd and autocast.
void for_parts(const Split& split, at::Device device, const std::function<void(size_t)>& body);

std::tuple<at::Tensor, at::Tensor> forward(const at::Tensor& q, const Keys& keys, const Problem& problem,
                                           const Split& split, int64_t value_width);

// Returns the gradient of q. gradients[i] receives what part i adds to keys and values.
at::Tensor backward(const at::Tensor& grad_out, const at::Tensor& grad_lse, const at::Tensor& q, const Keys& keys,
                    const at::Tensor& out, const at::Tensor& lse, const Problem& problem, const Split& split,
                    const std::vector<std::unique_ptr<KeyGradients>>& gradients);

}  // namespace perceive::ops::formula
