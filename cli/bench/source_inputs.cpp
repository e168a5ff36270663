// Random sources, with and without positions.
#include "cli/bench/source_inputs.h"

#include <ATen/ATen.h>

#include <cmath>

#include "perceive/ops/fourier.h"

namespace perceive::cli::bench {

SourceInputs source_inputs(const Sizes& sizes, at::ScalarType dtype, bool written_out) {
  const int64_t width = sizes.width(), rows = sizes.heads * sizes.head_dim;
  const auto random = [&](at::IntArrayRef shape) { return at::randn(shape, dtype); };
  ops::Positions positions;
  if (!sizes.grid.empty()) positions = ops::fourier_positions({.grid = sizes.grid, .bands = sizes.bands});
  for (auto& axis : positions.axes) axis = axis.to(dtype);
  const auto values = random({sizes.batch, sizes.keys, sizes.channels});
  const double spread = 1.0 / std::sqrt(static_cast<double>(width));  // keys and values of unit variance
  SourceInputs inputs{.q = random({sizes.batch, sizes.heads, sizes.latents, sizes.head_dim}),
                      .grad_out = random({sizes.batch, sizes.heads, sizes.latents, sizes.head_dim}),
                      .source = ops::Source::of(values, positions),
                      .projection = {.key_weight = random({rows, width}) * spread,
                                     .value_weight = random({rows, width}) * spread,
                                     .normalize = true,
                                     .norm_weight = 1 + 0.1 * random({width}),
                                     .norm_bias = 0.1 * random({width}),
                                     .heads = sizes.heads}};
  if (!written_out) return inputs;
  inputs.expanded = values;
  if (positions.axes.empty()) return inputs;
  const auto features = positions.expand(0, sizes.keys);
  inputs.expanded = at::cat({values, features.expand({sizes.batch, -1, -1})}, 2);
  return inputs;
}

SourceInputs with_gradients(const SourceInputs& inputs, bool of_values) {
  SourceInputs leaves = inputs;
  const auto make_leaf = [](at::Tensor& t) {
    if (t.defined()) t = t.detach().requires_grad_();
  };
  make_leaf(leaves.q);
  for (auto* t : {&leaves.projection.key_weight, &leaves.projection.value_weight, &leaves.projection.norm_weight,
                  &leaves.projection.norm_bias}) {
    make_leaf(*t);
  }
  if (of_values) {
    make_leaf(leaves.source.values);
    make_leaf(leaves.expanded);
  }
  return leaves;
}

std::vector<at::Tensor> leaves_of(const SourceInputs& inputs) {
  const auto& p = inputs.projection;
  return {inputs.q, p.key_weight, p.value_weight, p.norm_weight, p.norm_bias};
}

at::Tensor composed(const SourceInputs& inputs, const Attention& attention) {
  const auto& p = inputs.projection;
  const auto x = at::layer_norm(inputs.expanded, {inputs.expanded.size(2)}, p.norm_weight, p.norm_bias, p.norm_eps);
  const auto heads_of = [&](const at::Tensor& weight) {
    return at::linear(x, weight).unflatten(2, {p.heads, -1}).transpose(1, 2);
  };
  return attention(inputs.q, heads_of(p.key_weight), heads_of(p.value_weight));
}

KeysAndValues keys_and_values(const SourceInputs& inputs) {
  const auto exact = [](const at::Tensor& t) { return t.detach().to(at::kDouble); };
  return [=, source = inputs.source, p = inputs.projection](int64_t item, int64_t head, int64_t first, int64_t count) {
    auto x = exact(source.values[item].narrow(0, first, count));
    if (!source.positions.axes.empty()) x = at::cat({x, exact(source.positions.expand(first, count))}, 1);
    x = at::layer_norm(x, {x.size(1)}, exact(p.norm_weight), exact(p.norm_bias), p.norm_eps);
    const auto side = [&](const at::Tensor& weight) {
      const int64_t width = weight.size(0) / p.heads;
      return x.matmul(exact(weight.narrow(0, head * width, width)).t());
    };
    return std::pair{side(p.key_weight), side(p.value_weight)};
  };
}

}  // namespace perceive::cli::bench
