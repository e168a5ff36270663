// Keys computed from a described source, a tile at a time, and their gradients.
#pragma once

#include <optional>

#include "perceive/ops/cpu/factors.h"
#include "perceive/ops/cpu/keys.h"

namespace perceive::ops::cpu {

// The source of a call, and what becomes of its keys.
struct SourceCall {
  at::Tensor values;  // [B, m, C]
  int64_t first = 0;  // of the keys at hand, in the source
  bool normalize = false;
  float eps = 0.0F;
  std::optional<Features> projected, absorbed;  // of the sides that are projected, and of those that are absorbed
  std::optional<Factors> key, value;            // each over one of these

  bool absorbs(const Factors& side) const { return absorbed.has_value() && &side.features == &*absorbed; }
};

class SourceReader : public TileReader {
 public:
  SourceReader(const Shape& shape, const SourceCall& call);
  void read(int64_t item, Tile& tile) override;
  std::array<kernels::Ahead, 2> ahead(int64_t item, const Range& keys) const override;

 private:
  friend class SourceGradients;

  Matrix values(int64_t item) const;
  void locate(const Tile& tile);
  void measure(const kernels::ConstRows& values, int64_t keys);
  void write_out(const Features& features, const kernels::ConstRows& values, int64_t keys, Floats& out,
                 kernels::ConstRows& rows) const;
  void project(const Factors& side, int64_t keys, Floats& out) const;
  void lay_on_grid(int64_t keys);
  const Features& features() const { return call_.projected ? *call_.projected : *call_.absorbed; }

  const Shape& shape_;
  const SourceCall& call_;
  // Statistics of an axis' steps, [steps]: mean, and sum of squared deviations from it.
  struct Statistics {
    std::vector<float> mean, deviation;
  };
  std::vector<Statistics> axis_statistics_;
  // Of the tile at hand.
  std::vector<std::vector<int64_t>> steps_;  // of each axis, [keys]
  std::vector<std::vector<float>> axis_mean_;
  std::vector<float> channel_mean_, mean_, inverse_;
  Floats values_scratch_, projected_inputs_, absorbed_inputs_, k_, v_;
  kernels::ConstRows projected_rows_, absorbed_rows_;
  std::vector<int64_t> columns_;
  std::vector<kernels::GridKeys::Segment> segments_;
  kernels::GridKeys grid_;
};

// Sums the gradients of one group's tiles: of the factors of projected sides, and of the values where asked for.
class SourceGradients : public TileGradients {
 public:
  // grad_values: float [B, m, C], written for the keys that were seen; or undefined.
  SourceGradients(const Shape& shape, const SourceCall& call, const SourceReader& reader,
                  const at::Tensor& grad_values);
  void begin(const Plan::Part& part, const Tile& tile, int64_t head, kernels::Rows& grad_k,
             kernels::Rows& grad_v) override;
  void end(const Plan::Part& part, const Tile& tile) override;

  // Of the factors' rows; undefined for an absorbed side, whose gradient the walk has.
  const at::Tensor& key() const { return key_.rows; }
  const at::Tensor& value() const { return value_.rows; }

 private:
  struct Side {
    const Factors* factors = nullptr;
    bool absorbed = false;
    at::Tensor rows;                       // gradient of the factors
    at::Tensor channel_columns, row_sums;  // for the gradient of the values
    Floats grad;                           // [keys][stride] of the tile
  };
  Side side(const Factors& factors) const;
  kernels::Rows begin(Side& side, const Tile& tile, int64_t head);
  void end(Side& side, const Tile& tile, const Floats& projected);
  void add_inputs(const Side& side, const Tile& tile, const Floats& projected);
  void write_values(int64_t item, const Tile& tile);

  const Shape& shape_;
  const SourceCall& call_;
  const SourceReader& reader_;
  at::Tensor grad_values_;
  Side key_, value_;
  // Of the tile at hand: gradient of the normalised channels, of absorbed features, and the two sums of LayerNorm.
  Floats grad_inputs_, grad_absorbed_;
  Floats constant_;  // the tile's share in the gradient of the constant
  std::vector<float> level_, slope_;
};

}  // namespace perceive::ops::cpu
