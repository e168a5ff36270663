// Attention as it is written down, with whole matrices.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>

#include "cli/bench/options.h"

namespace perceive::cli::bench {

// softmax(q k^T / sqrt(D)) v of q [B, H, N, D], k and v [B, H, M, D].
at::Tensor formula(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v);

// Why its matrix [B, H, N, M] is too large for this machine at present, or empty.
std::string formula_objection(const Sizes& sizes, int64_t element_bytes);

}  // namespace perceive::cli::bench
