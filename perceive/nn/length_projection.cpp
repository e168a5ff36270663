// Projections along the length, before or within those of the channels.
#include "perceive/nn/length_projection.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "perceive/nn/checkpoint.h"
#include "perceive/nn/heads.h"

namespace perceive::nn {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// A sample at a time: a batched product copies x, or holds a gradient of the weight for every sample.
struct ProjectLength : torch::autograd::Function<ProjectLength> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& weight, const at::Tensor& x) {
    context->save_for_backward({weight, x});
    const auto result = at::empty({x.size(0), weight.size(0), x.size(2)}, x.options());
    for (int64_t b = 0; b < x.size(0); ++b) {
      auto sample = result[b];
      at::mm_out(sample, weight, x[b]);
    }
    return result;
  }

  static variable_list backward(AutogradContext* context, const variable_list& grads) {
    TORCH_CHECK(!at::GradMode::is_enabled(), "project_length: a second derivative is not supported");
    const auto saved = context->get_saved_variables();
    const auto &weight = saved[0], &x = saved[1], &grad = grads[0];
    at::Tensor of_weight, of_x;
    if (context->needs_input_grad(0)) of_weight = at::zeros(weight.sizes(), weight.options());
    if (context->needs_input_grad(1)) of_x = at::empty(x.sizes(), x.options());
    for (int64_t b = 0; b < x.size(0); ++b) {
      if (of_weight.defined()) of_weight.addmm_(grad[b], x[b].t());
      if (!of_x.defined()) continue;
      auto sample = of_x[b];
      at::mm_out(sample, weight.t(), grad[b]);
    }
    return {of_weight, of_x};
  }
};

std::vector<at::Tensor> weights_of(const std::vector<LengthProjection>& by) {
  std::vector<at::Tensor> weights;
  for (const auto& each : by) weights.push_back(each.weight);
  return weights;
}

// Rows of a tile of so many channels: it fits into a core's cache, and is no smaller than `least`.
int64_t tile_rows(int64_t channels, int64_t least) {
  constexpr int64_t kElements = 1 << 18;
  return std::max(least, kElements / std::max<int64_t>(1, channels));
}

at::Tensor length_first(const at::Tensor& x, const at::Tensor& weight, int64_t heads,
                        const std::vector<at::Tensor>& by) {
  if (by.size() == 1) return split_heads(at::linear(project_length(by.front(), x), weight), heads);
  const auto of_head = weight.unflatten(0, {heads, weight.size(0) / heads}).unbind();
  std::vector<at::Tensor> projected;
  for (size_t h = 0; h < by.size(); ++h) projected.push_back(at::linear(project_length(by[h], x), of_head[h]));
  return at::stack(projected, 1);
}

at::Tensor in_tiles(const at::Tensor& x, const at::Tensor& weight, int64_t heads, const std::vector<at::Tensor>& by) {
  const Segment part = [heads](const std::vector<at::Tensor>& given) {
    const at::TensorList of_heads(given.data() + 2, given.size() - 2);
    return at::matmul(at::stack(of_heads), split_heads(at::linear(given[0], given[1]), heads));
  };
  const int64_t rows = tile_rows(x.size(0) * weight.size(0), 64);
  std::vector<std::vector<at::Tensor>> pieces;
  for (const auto& each : by) pieces.push_back(each.split(rows, 1));
  const auto tiles = x.split(rows, 1);
  at::Tensor sum;
  for (size_t t = 0; t < tiles.size(); ++t) {
    std::vector<at::Tensor> inputs{tiles[t], weight};
    for (const auto& piece : pieces) inputs.push_back(piece[t]);
    const auto added = checkpoint(part, inputs, {});
    sum = sum.defined() ? sum + added : added;
  }
  return sum;
}

at::Tensor convolve(const at::Tensor& x, const at::Tensor& weight, int64_t heads, const std::vector<at::Tensor>& by) {
  const int64_t step = by.front().size(2), rows = x.size(1) / step;
  TORCH_CHECK_VALUE(rows > 0, "project_heads: expected at least ", step, " rows, a step; got x ", x.sizes());
  const auto kernels = at::stack(by).transpose(2, 3);                           // [1 | H, D, s, D]
  const auto windows = x.narrow(1, 0, rows * step).unflatten(1, {rows, step});  // [B, k, s, C]
  if (x.size(2) <= x.size(0) * rows) {
    const auto of_head = weight.unflatten(0, {heads, weight.size(0) / heads});  // [H, D, C]
    const auto both = at::matmul(kernels.flatten(1, 2), of_head);               // [H, D·s, C]
    return split_heads(at::linear(windows.flatten(2), both.reshape({weight.size(0), -1})), heads);
  }
  const Segment part = [heads](const std::vector<at::Tensor>& given) {
    const auto tile = split_heads(at::linear(given[0], given[1]), heads);  // [B, rows, H, s, D]
    return at::matmul(tile.transpose(1, 2).flatten(3), given[2].flatten(2).mT());
  };
  std::vector<at::Tensor> parts;
  for (const auto& tile : windows.split(tile_rows(x.size(0) * step * weight.size(0), 1), 1)) {
    parts.push_back(checkpoint(part, {tile, weight, kernels}, {}));
  }
  return at::cat(parts, 2);
}

}  // namespace

at::Tensor project_length(const at::Tensor& weight, const at::Tensor& x) {
  TORCH_CHECK_VALUE(weight.dim() == 2 && x.dim() == 3 && x.size(1) == weight.size(1),
                    "project_length: expected weight [k, n] and x [B, n, C]; got ", weight.sizes(), " and ", x.sizes());
  return ProjectLength::apply(weight, x);
}

at::Tensor project_heads(const at::Tensor& x, const at::Tensor& weight, int64_t heads,
                         const std::vector<LengthProjection>& by) {
  const auto count = static_cast<int64_t>(by.size());
  TORCH_CHECK_VALUE(count == 1 || count == heads, "project_heads: expected 1 projection or ", heads, "; got ", count);
  TORCH_CHECK_VALUE(x.dim() == 3 && weight.dim() == 2 && weight.size(1) == x.size(2) && weight.size(0) % heads == 0,
                    "project_heads: expected x [B, n, C] and weight [", heads, "·D, C]; got ", x.sizes(), " and ",
                    weight.sizes());
  const auto weights = weights_of(by);
  const bool convolution = weights.front().dim() == 3;
  at::Tensor result;
  if (convolution) {
    result = convolve(x, weight, heads, weights);
  } else {
    TORCH_CHECK_VALUE(weights.front().size(1) == x.size(1), "project_heads: a projection of ", weights.front().size(1),
                      " rows cannot read x ", x.sizes());
    const int64_t rows = weights.front().size(0), channels = x.size(2);
    const bool first = count * rows * channels <= weight.size(0) * (channels + rows);
    result = first ? length_first(x, weight, heads, weights) : in_tiles(x, weight, heads, weights);
  }
  if (!by.front().bias.defined()) return result;
  std::vector<at::Tensor> biases;
  for (const auto& each : by) biases.push_back(each.bias);
  return result + at::stack(biases).unsqueeze(convolution ? 1 : 2);
}

}  // namespace perceive::nn
