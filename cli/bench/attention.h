// The rows of `perceive bench attention`: ours and its peers on the same tensors, forward and backward.
#pragma once

#include <ATen/core/ScalarType.h>

#include <vector>

#include "cli/bench/measure.h"
#include "cli/bench/options.h"

namespace perceive::cli::bench {

// `attend` on given K and V. Peers: sdpa, libtorch's attention in tiles, and formula, the plain one with whole
// matrices, which takes part where these leave room.
std::vector<Row> attend_rows(const Sizes& sizes, at::ScalarType dtype);

// `attend_source`. Peers: composed, which is layer_norm, linear and scaled_dot_product_attention on inputs whose
// positions are written out; formula, the same with the plain formula; and where no plan was asked for, the other plans
// that can do the work.
std::vector<Row> attend_source_rows(const Sizes& sizes, at::ScalarType dtype, ops::SourcePlan plan);

}  // namespace perceive::cli::bench
