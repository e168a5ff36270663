// A tile of a source: its statistics, its features in the layout of the plan, and its projection.
#include "perceive/ops/cpu/source_keys.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "perceive/kernels/rows.h"

namespace perceive::ops::cpu {

SourceReader::SourceReader(const Shape& shape, const SourceCall& call)
    : shape_(shape),
      call_(call),
      axis_statistics_(features().axes.size()),
      steps_(features().axes.size()),
      axis_mean_(features().axes.size()) {
  if (!call.normalize) return;
  // A table of positions as long as the source is measured a tile at a time instead.
  for (size_t a = 0; a < steps_.size(); ++a) {
    const auto& axis = features().axes[a];
    auto& statistics = axis_statistics_[a];
    if (axis.steps() == features().axes[0].step_keys * features().axes[0].steps()) continue;
    statistics.mean.resize(axis.steps());
    statistics.deviation.resize(axis.steps());
    for (int64_t s = 0; s < axis.steps(); ++s) {
      kernels::row_kernels().statistics(axis.features.const_data_ptr<float>() + s * axis.width(), axis.width(),
                                        statistics.mean[s], statistics.deviation[s]);
    }
  }
}

Matrix SourceReader::values(int64_t item) const {
  const auto& values = call_.values;
  return {values, item * values.stride(0), values.stride(1), values.stride(2), values.size(2)};
}

std::array<kernels::Ahead, 2> SourceReader::ahead(int64_t item, const Range& keys) const {
  return {ahead_rows(values(item), keys), {}};
}

void SourceReader::locate(const Tile& tile) {
  for (size_t a = 0; a < steps_.size(); ++a) {
    const auto& axis = features().axes[a];
    auto& steps = steps_[a];
    steps.resize(tile.keys());
    // Counted on from key to key: divisions are slow.
    int64_t step = 0, within = 0, last = -2;
    for (int64_t t = 0; t < tile.keys(); ++t) {
      const int64_t key = call_.first + tile.index[t];
      if (key == last + 1) {
        if (++within == axis.step_keys) {
          within = 0;
          if (++step == axis.steps()) step = 0;
        }
      } else {
        within = key % axis.step_keys;
        step = key / axis.step_keys % axis.steps();
      }
      last = key;
      steps[t] = step;
    }
  }
}

// LayerNorm's mean and inverse deviation of each key, from those of its channels and of its positions (Chan, Golub,
// LeVeque 1979): every term is positive, nothing cancels.
void SourceReader::measure(const kernels::ConstRows& values, int64_t keys) {
  mean_.assign(keys, 0.0F);
  inverse_.assign(keys, 1.0F);
  if (!call_.normalize) return;
  const auto& axes = features().axes;
  const auto width = static_cast<float>(features().width), channels = static_cast<float>(features().channels);
  // mean_ holds the sum of all features first, inverse_ the deviations from the mean of each part, then from the
  // whole's.
  channel_mean_.assign(keys, 0.0F);
  inverse_.assign(keys, 0.0F);
  if (features().channels > 0) {
    for (int64_t t = 0; t < keys; ++t) {
      kernels::row_kernels().statistics(values.data + t * values.stride, features().channels, channel_mean_[t],
                                        inverse_[t]);
      mean_[t] = channels * channel_mean_[t];
    }
  }
  for (size_t a = 0; a < axes.size(); ++a) {
    const auto& statistics = axis_statistics_[a];
    const auto features_of_axis = static_cast<float>(axes[a].width());
    axis_mean_[a].resize(keys);
    for (int64_t t = 0; t < keys; ++t) {
      const int64_t step = steps_[a][t];
      float deviation = 0.0F;
      if (statistics.mean.empty()) {
        kernels::row_kernels().statistics(axes[a].features.const_data_ptr<float>() + step * axes[a].width(),
                                          axes[a].width(), axis_mean_[a][t], deviation);
      } else {
        axis_mean_[a][t] = statistics.mean[step];
        deviation = statistics.deviation[step];
      }
      mean_[t] += features_of_axis * axis_mean_[a][t];
      inverse_[t] += deviation;
    }
  }
  for (int64_t t = 0; t < keys; ++t) {
    mean_[t] /= width;
    inverse_[t] += channels * (channel_mean_[t] - mean_[t]) * (channel_mean_[t] - mean_[t]);
  }
  for (size_t a = 0; a < axes.size(); ++a) {
    const auto features_of_axis = static_cast<float>(axes[a].width());
    for (int64_t t = 0; t < keys; ++t) {
      inverse_[t] += features_of_axis * (axis_mean_[a][t] - mean_[t]) * (axis_mean_[a][t] - mean_[t]);
    }
  }
  kernels::row_kernels().inverse_root(inverse_.data(), keys, 1.0F / width, call_.eps);
}

void SourceReader::write_out(const Features& features, const kernels::ConstRows& values, int64_t keys, Floats& out,
                             kernels::ConstRows& rows) const {
  if (!call_.normalize && features.inputs == features.channels) {
    rows = values;  // nothing to write
    return;
  }
  const auto& row_kernels = kernels::row_kernels();
  const bool dense = features.form == Form::dense;
  out.resize(keys * features.inputs);
  rows = {out.data(), features.inputs};
  for (int64_t t = 0; t < keys; ++t) {
    float* const to = out.data() + t * features.inputs;
    row_kernels.normalise(values.data + t * values.stride, features.channels, mean_[t], inverse_[t], to);
    if (features.mean >= 0) to[features.mean] = mean_[t] * inverse_[t];
    for (size_t a = 0; a < features.axes.size(); ++a) {
      const auto& axis = features.axes[a];
      if (axis.table) continue;
      row_kernels.normalise(axis.features.const_data_ptr<float>() + steps_[a][t] * axis.width(), axis.width(),
                            dense ? mean_[t] : 0.0F, inverse_[t], to + axis.begin);
    }
    if (dense) to[features.constant] = 1.0F;
  }
}

// [keys][stride] of a projected side.
void SourceReader::project(const Factors& side, int64_t keys, Floats& out) const {
  const auto& row_kernels = kernels::row_kernels();
  const int64_t stride = side.stride();
  out.resize(keys * stride);
  for (int64_t t = 0; t < keys; ++t) {
    float* const to = out.data() + t * stride;
    std::copy_n(side.row(side.features.constant), stride, to);
    for (size_t a = 0; a < side.features.axes.size(); ++a) {
      const auto& axis = side.features.axes[a];
      if (axis.table) row_kernels.add(side.row(axis.begin + steps_[a][t]), stride, inverse_[t], to);
    }
  }
  kernels::tile_kernels().product({.a = projected_rows_.data,
                                   .row_step = projected_rows_.stride,
                                   .b = {side.row(0), stride},
                                   .c = {out.data(), stride},
                                   .rows = keys,
                                   .depth = side.features.inputs,
                                   .columns = stride,
                                   .add = true});
}

void SourceReader::lay_on_grid(int64_t keys) {
  const auto& features = *call_.absorbed;
  const size_t inner = features.axes.size() - 1;
  columns_.resize(keys);
  segments_.clear();
  for (int64_t t = 0; t < keys; ++t) {
    columns_[t] = features.axes[inner].begin + steps_[inner][t];
    bool same = !segments_.empty();
    for (size_t a = 0; a < inner && same; ++a) {
      same = segments_.back().rows[a] == features.axes[a].begin + steps_[a][t];
    }
    if (!same) {
      segments_.push_back({.begin = t, .shared = static_cast<int>(inner)});
      for (size_t a = 0; a < inner; ++a) segments_.back().rows[a] = features.axes[a].begin + steps_[a][t];
    }
    segments_.back().end = t + 1;
  }
  grid_ = {.inputs = absorbed_rows_,
           .factor = inverse_.data(),
           .column = columns_.data(),
           .depth = features.inputs,
           .constant = features.constant,
           .segments = segments_.data(),
           .segment_count = static_cast<int64_t>(segments_.size())};
}

void SourceReader::read(int64_t item, Tile& tile) {
  const int64_t keys = tile.keys();
  const auto rows = features().channels > 0 ? read_rows(values(item), tile, values_scratch_) : kernels::ConstRows();
  locate(tile);
  measure(rows, keys);
  if (call_.projected) write_out(*call_.projected, rows, keys, projected_inputs_, projected_rows_);
  if (call_.absorbed) write_out(*call_.absorbed, rows, keys, absorbed_inputs_, absorbed_rows_);
  const bool sparse = call_.absorbed && call_.absorbed->form == Form::sparse;
  if (sparse) lay_on_grid(keys);
  if (!call_.absorbs(*call_.key)) project(*call_.key, keys, k_);
  if (!call_.absorbs(*call_.value)) project(*call_.value, keys, v_);
  tile.head.resize(shape_.item_heads());
  for (int64_t h = 0; h < shape_.item_heads(); ++h) {
    auto& head = tile.head[h];
    head = {.keys = keys, .key_width = shape_.key_width, .value_width = shape_.value_width};
    const auto place = [&](const Factors& side, const Floats& projected, kernels::ConstRows& to, int64_t& width) {
      if (call_.absorbs(side)) {
        to = absorbed_rows_;
        width = side.features.count;
      } else {
        to = {projected.data() + h * side.head_pitch, side.stride()};
      }
    };
    place(*call_.key, k_, head.k, head.key_width);
    place(*call_.value, v_, head.v, head.value_width);
    if (sparse) head.grid = &grid_;
  }
}

}  // namespace perceive::ops::cpu
