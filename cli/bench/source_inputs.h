// What the rows on a source compute from, and the ways to compute it.
#pragma once

#include <functional>
#include <vector>

#include "cli/bench/options.h"
#include "cli/bench/reference.h"
#include "perceive/ops/attend.h"

namespace perceive::cli::bench {

struct SourceInputs {
  at::Tensor q, grad_out;  // [B, H, N, D]
  ops::Source source;
  ops::Projection projection;
  at::Tensor expanded;  // the source with its positions written out, [B, M, C + E]: what libtorch's own path reads
};

// `written_out`: whether `expanded` is wanted.
SourceInputs source_inputs(const Sizes& sizes, at::ScalarType dtype, bool written_out);

// The same values as leaves that want gradients: q and the projection, and where asked the inputs.
SourceInputs with_gradients(const SourceInputs& inputs, bool of_values);
std::vector<at::Tensor> leaves_of(const SourceInputs& inputs);

// layer_norm, linear, then `attention` of q, k and v.
using Attention = std::function<at::Tensor(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v)>;
at::Tensor composed(const SourceInputs& inputs, const Attention& attention);

// The keys and values of the source in double.
KeysAndValues keys_and_values(const SourceInputs& inputs);

}  // namespace perceive::cli::bench
