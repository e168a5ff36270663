// From the gradients of a tile's keys and values to those of the factors and of the source's values.
#include <ATen/ATen.h>

#include <algorithm>

#include "perceive/kernels/rows.h"
#include "perceive/ops/cpu/source_keys.h"

namespace perceive::ops::cpu {

SourceGradients::SourceGradients(const Shape& shape, const SourceCall& call, const SourceReader& reader,
                                 const at::Tensor& grad_values)
    : shape_(shape),
      call_(call),
      reader_(reader),
      grad_values_(grad_values),
      key_(side(*call.key)),
      value_(side(*call.value)) {}

SourceGradients::Side SourceGradients::side(const Factors& factors) const {
  Side side;
  side.factors = &factors;
  side.absorbed = call_.absorbs(factors);
  if (side.absorbed) return side;
  side.rows = factors.zeros();
  if (grad_values_.defined()) {
    side.channel_columns = factors.channel_columns();
    side.row_sums = factors.row_sums();
  }
  return side;
}

kernels::Rows SourceGradients::begin(Side& side, const Tile& tile, int64_t head) {
  if (!side.absorbed) {
    const int64_t stride = side.factors->stride();
    if (head == 0) side.grad.assign(tile.keys() * stride, 0.0F);
    return {side.grad.data() + head * side.factors->head_pitch, stride};
  }
  if (!grad_values_.defined()) return {};
  return {grad_absorbed_.data(), padded(side.factors->features.count, kernels::tile_kernels().width)};
}

void SourceGradients::begin(const Plan::Part&, const Tile& tile, int64_t head, kernels::Rows& grad_k,
                            kernels::Rows& grad_v) {
  if (head == 0 && grad_values_.defined() && call_.absorbed) {
    grad_absorbed_.assign(tile.keys() * padded(call_.absorbed->count, kernels::tile_kernels().width), 0.0F);
  }
  grad_k = begin(key_, tile, head);
  grad_v = begin(value_, tile, head);
}

void SourceGradients::end(const Plan::Part& part, const Tile& tile) {
  if (grad_values_.defined()) {
    const int64_t pitch = padded(call_.values.size(2), kernels::tile_kernels().width);
    grad_inputs_.assign(tile.keys() * pitch, 0.0F);
    level_.assign(tile.keys(), 0.0F);
    slope_.assign(tile.keys(), 0.0F);
  }
  if (!key_.absorbed) end(key_, tile, reader_.k_);
  if (!value_.absorbed) end(value_, tile, reader_.v_);
  if (grad_values_.defined()) write_values(part.item, tile);
}

void SourceGradients::end(Side& side, const Tile& tile, const Floats& projected) {
  const Factors& factors = *side.factors;
  const Features& features = factors.features;
  const int64_t stride = factors.stride(), keys = tile.keys();
  float* const rows = side.rows.data_ptr<float>();
  kernels::tile_kernels().product({.a = reader_.projected_rows_.data,
                                   .row_step = 1,
                                   .depth_step = reader_.projected_rows_.stride,
                                   .b = {side.grad.data(), stride},
                                   .c = {rows, stride},
                                   .rows = features.inputs,
                                   .depth = keys,
                                   .columns = stride,
                                   .add = true});
  constant_.assign(stride, 0.0F);
  for (int64_t t = 0; t < keys; ++t) {
    const float* const grad = side.grad.data() + t * stride;
    kernels::row_kernels().add(grad, stride, 1.0F, constant_.data());
    for (size_t a = 0; a < features.axes.size(); ++a) {
      const auto& axis = features.axes[a];
      if (!axis.table) continue;
      kernels::row_kernels().add(grad, stride, reader_.inverse_[t],
                                 rows + (axis.begin + reader_.steps_[a][t]) * stride);
    }
  }
  kernels::row_kernels().add(constant_.data(), stride, 1.0F, rows + features.constant * stride);
  if (grad_values_.defined()) add_inputs(side, tile, projected);
}

// What a projected side gives to the gradient of the normalised channels, and to LayerNorm's sums over all features.
void SourceGradients::add_inputs(const Side& side, const Tile& tile, const Floats& projected) {
  const int64_t stride = side.factors->stride(), pitch = side.channel_columns.size(1);
  kernels::tile_kernels().product({.a = side.grad.data(),
                                   .row_step = stride,
                                   .b = {side.channel_columns.const_data_ptr<float>(), pitch},
                                   .c = {grad_inputs_.data(), pitch},
                                   .rows = tile.keys(),
                                   .depth = stride,
                                   .columns = pitch,
                                   .add = true});
  if (!call_.normalize) return;
  const float* const sums = side.row_sums.const_data_ptr<float>();
  const float* const constant = side.factors->row(side.factors->features.constant);
  const auto& row_kernels = kernels::row_kernels();
  for (int64_t t = 0; t < tile.keys(); ++t) {
    const float* const grad = side.grad.data() + t * stride;
    level_[t] += row_kernels.dot(grad, sums, stride);
    slope_[t] += row_kernels.dot(grad, projected.data() + t * stride, stride) - row_kernels.dot(grad, constant, stride);
  }
}

void SourceGradients::write_values(int64_t item, const Tile& tile) {
  const int64_t channels = call_.values.size(2), pitch = padded(channels, kernels::tile_kernels().width);
  if (call_.absorbed) {
    const Features& features = *call_.absorbed;
    const int64_t absorbed_pitch = padded(features.count, kernels::tile_kernels().width);
    for (int64_t t = 0; t < tile.keys(); ++t) {
      const float* const grad = grad_absorbed_.data() + t * absorbed_pitch;
      const float* const x = reader_.absorbed_rows_.data + t * reader_.absorbed_rows_.stride;
      kernels::row_kernels().add(grad, channels, 1.0F, grad_inputs_.data() + t * pitch);
      if (!call_.normalize) continue;
      level_[t] += kernels::row_kernels().sum(grad, features.width);
      slope_[t] += kernels::row_kernels().dot(grad, x, features.width);
    }
  }
  const auto& normalised = call_.projected ? reader_.projected_rows_ : reader_.absorbed_rows_;
  const float factor = call_.normalize ? 1.0F / static_cast<float>(reader_.features().width) : 0.0F;
  for (int64_t t = 0; t < tile.keys(); ++t) {
    const float* const grad = grad_inputs_.data() + t * pitch;
    const float* const x = normalised.data + t * normalised.stride;
    float* const to =
        grad_values_.data_ptr<float>() + item * grad_values_.stride(0) + tile.index[t] * grad_values_.stride(1);
    const float level = level_[t] * factor, slope = slope_[t] * factor, inverse = reader_.inverse_[t];
    kernels::row_kernels().normalise(grad, channels, level, inverse, to);
    if (call_.normalize) kernels::row_kernels().add(x, channels, -slope * inverse, to);
  }
}

}  // namespace perceive::ops::cpu
