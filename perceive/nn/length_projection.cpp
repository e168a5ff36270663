// Projections along the length, before or within those of the channels.
#include "perceive/nn/length_projection.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <limits>

#include "perceive/nn/checkpoint.h"
#include "perceive/nn/heads.h"
#include "perceive/ops/linear.h"

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
  if (by.size() == 1) return split_heads(ops::linear(project_length(by.front(), x), weight), heads);
  const auto of_head = weight.unflatten(0, {heads, weight.size(0) / heads}).unbind();
  std::vector<at::Tensor> projected;
  for (size_t h = 0; h < by.size(); ++h) projected.push_back(ops::linear(project_length(by[h], x), of_head[h]));
  return at::stack(projected, 1);
}

at::Tensor in_tiles(const at::Tensor& x, const at::Tensor& weight, int64_t heads, const std::vector<at::Tensor>& by) {
  const Segment part = [heads](const std::vector<at::Tensor>& given) {
    const at::TensorList of_heads(given.data() + 2, given.size() - 2);
    return at::matmul(at::stack(of_heads), split_heads(ops::linear(given[0], given[1]), heads));
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

// reduce(windows, tile, {rows of x, weight, more...}) of each tile of windows of x, joined along the length: windows
// [B, H, w, D, kernel], a view of the tile's heads x W^T.
template <class Reduce>
at::Tensor over_windows(const at::Tensor& x, const at::Tensor& weight, int64_t heads, Windows windows,
                        const std::vector<at::Tensor>& more, const Reduce& reduce) {
  const auto [kernel, stride] = windows;
  const int64_t count = (x.size(1) - kernel) / stride + 1;
  const int64_t step = std::max<int64_t>(1, tile_rows(x.size(0) * weight.size(0), 1) / stride);
  std::vector<RowTile> tiles;
  for (int64_t first = 0; first < count; first += step) {
    tiles.push_back({first * stride, (std::min(step, count - first) - 1) * stride + kernel});
  }
  const TileSegment part = [=](const RowTile& tile, const std::vector<at::Tensor>& given) {
    const auto of_heads = split_heads(ops::linear(given[0], given[1]), heads);
    return reduce(of_heads.unfold(2, kernel, stride), tile, given);
  };
  std::vector<at::Tensor> inputs{weight};
  inputs.insert(inputs.end(), more.begin(), more.end());
  return checkpoint_tiles(part, tiles, 2, x, inputs);
}

at::Tensor convolve(const at::Tensor& x, const at::Tensor& weight, int64_t heads, const std::vector<at::Tensor>& by,
                    int64_t stride) {
  const int64_t kernel = by.front().size(2);
  TORCH_CHECK_VALUE(x.size(1) >= kernel, "project_heads: expected at least ", kernel, " rows, a kernel; got x ",
                    x.sizes());
  const auto kernels = at::stack(by);  // [1 | H, D, D, kernel]
  const int64_t rows = (x.size(1) - kernel) / stride + 1;
  if (kernel == stride && x.size(2) <= x.size(0) * rows) {
    const auto windows = x.narrow(1, 0, rows * kernel).unflatten(1, {rows, kernel});  // [B, k, s, C]
    const auto of_head = weight.unflatten(0, {heads, weight.size(0) / heads});        // [H, D, C]
    const auto both = at::matmul(kernels.transpose(2, 3).flatten(1, 2), of_head);     // [H, D·s, C]
    return split_heads(ops::linear(windows.flatten(2), both.reshape({weight.size(0), -1})), heads);
  }
  return over_windows(x, weight, heads, {kernel, stride}, {kernels.flatten(2)},
                      [](const at::Tensor& windows, const RowTile&, const std::vector<at::Tensor>& given) {
                        return at::matmul(windows.flatten(3), given[2].mT());
                      });
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
    result = convolve(x, weight, heads, weights, by.front().stride.value_or(weights.front().size(2)));
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

at::Tensor max_heads(const at::Tensor& x, const at::Tensor& weight, int64_t heads, const at::Tensor& mask,
                     Windows windows) {
  TORCH_CHECK_VALUE(x.dim() == 3 && x.size(1) >= windows.kernel && mask.sizes() == x.sizes().slice(0, 2),
                    "max_heads: expected x [B, n, C] of at least ", windows.kernel, " rows and mask [B, n]; got ",
                    x.sizes(), " and ", mask.sizes());
  return over_windows(
      x, weight, heads, windows, {mask},
      [=](const at::Tensor& of_heads, const RowTile& tile, const std::vector<at::Tensor>& given) {
        const auto part = given[2].narrow(1, tile.first, tile.rows);
        const auto counts =
            part.unfold(1, windows.kernel, windows.stride).unsqueeze(1).unsqueeze(3);  // [B, 1, w, 1, K]
        const auto most = of_heads.masked_fill(counts.logical_not(), -std::numeric_limits<double>::infinity()).amax(-1);
        return most.masked_fill(counts.any(-1).logical_not(), 0);
      });
}

}  // namespace perceive::nn
