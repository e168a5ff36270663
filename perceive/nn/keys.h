// The keys of a cross-attention: sources, each with its own projection, seen as one long row of keys.
//
// Shapes: B batch, H heads, N queries, M keys of all sources together, D and Dv widths of a head.
#pragma once

#include <vector>

#include "perceive/ops/attend.h"

namespace perceive::nn {

struct Keys {
  ops::Source source;
  ops::Projection projection;
};

// What a query gets for which every key is masked.
enum class EmptyRows {
  zeros,    // nothing
  uniform,  // the mean of all values: masked scores were filled with the lowest finite number
  penalty,  // what it would get without a mask: masked scores were lowered by 10,000, which cancels but for rounding
};

// Calls body(tensor) for each defined tensor of it that may need a gradient.
template <class Body>
void for_tensors(ops::Source& source, const Body& body) {
  if (source.values.defined()) body(source.values);
  for (auto& axis : source.positions.axes) body(axis);
}
template <class Body>
void for_tensors(Keys& keys, const Body& body) {
  for_tensors(keys.source, body);
  auto& p = keys.projection;
  for (auto* tensor : {&p.key_weight, &p.key_bias, &p.value_weight, &p.value_bias, &p.norm_weight, &p.norm_bias}) {
    if (tensor->defined()) body(*tensor);
  }
}

struct ReadOptions {
  ops::AttendOptions attend;
  EmptyRows empty_rows = EmptyRows::zeros;
  int64_t rotary_channels = 0;  // of queries and keys, by their place in their row; see rotate()
  bool inverted = false;        // the softmax runs over the queries, then each query's weights are divided by their sum
};

// q [B, H, N, D] attends to all keys: [B, H, N, Dv]. Memory does not grow with M. Inverted attention (Wu et al. 2023,
// arXiv 2311.06544) gives a query without keys zeros, whatever empty_rows says. Rotary keys and inverted attention run
// in blocks of plain tensor operations, and take no source that comes in chunks.
at::Tensor read(at::Tensor q, std::vector<Keys> keys, const ReadOptions& options);
// The weights [B, H, N, M] of the same call, before dropout; without gradients for a source that comes in chunks.
at::Tensor read_weights(at::Tensor q, std::vector<Keys> keys, const ReadOptions& options);

}  // namespace perceive::nn
