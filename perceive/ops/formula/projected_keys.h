// Keys and values computed from a described source, a tile at a time.
//
// With x = [channels | position features], LayerNorm's mean mu and inverse standard deviation r, and w1 the row sums of
// W = [W_x | W_p]:
//   W (x - mu) r = r (W_x (c - c_mean) + W_p p + (c_mean - mu) W_x 1 - mu W_p 1)
// so the position part W_p p is one small table an axis, the same for all batch items, and only the raw channels are
// multiplied for each of them. Mean and variance follow from those of channels and positions (Chan, Golub, LeVeque
// 1979), every term non-negative: nothing cancels.
#pragma once

#include "perceive/ops/formula/keys.h"

namespace perceive::ops::formula {

class ProjectedKeys : public Keys {
 public:
  // values [B, m, C]: the keys range.first … of the source; mask [B, m]: masked values are read as zero.
  ProjectedKeys(const at::Tensor& values, at::TensorList axes, const at::Tensor& mask,
                const FoldedProjection& projection, const SourceRange& range, int64_t key_width, at::ScalarType type);
  KeyTile tile(const Range& items, const Range& keys) const override;

 private:
  friend class ProjectedKeyGradients;

  // One axis of the position grid.
  struct Axis {
    at::Tensor features;   // [S, E]
    at::Tensor weight;     // [R, E], its columns of the projection
    at::Tensor projected;  // [S, R] features · weight^T, where S is small against the source; else undefined
    int64_t stride = 1;    // keys from one step of this axis to the next
  };
  // What the positions contribute to some keys: projection [t, R], mean [t, 1], sum of squared deviations [t, 1].
  struct PositionTile {
    at::Tensor projected, mean, deviation;
  };

  at::Tensor axis_rows(const Axis& axis, const Range& keys) const;  // indices into the axis, [t]
  at::Tensor axis_features(const Axis& axis, const Range& keys) const;
  PositionTile positions(const Range& keys) const;

  at::Tensor values_, mask_;
  std::vector<Axis> axes_;
  at::Tensor channel_weight_;                // [R, C]
  at::Tensor channel_sums_, position_sums_;  // [R]: W_x 1, W_p 1
  at::Tensor tile_weight_;                   // [C (+ 2), R]: what a tile's channels are multiplied with
  at::Tensor bias_;                          // [R] or undefined
  bool normalize_;
  double norm_eps_;
  int64_t first_, channels_, position_width_ = 0;
  int64_t heads_, key_rows_, value_rows_;  // rows of W that make keys, and values
  at::ScalarType type_;
};

// Sums the gradients of the projection, the position axes and the values over the tiles of one part of the work.
class ProjectedKeyGradients : public KeyGradients {
 public:
  // grad_values [B, m, C] in the dtype of the values, or undefined: written, not added to.
  ProjectedKeyGradients(const ProjectedKeys& keys, at::Tensor grad_values, bool axes_need_grad);
  void add(const KeyTile& tile, const Range& items, const Range& keys, const at::Tensor& grad_k,
           const at::Tensor& grad_v) override;

  // This part's share, in the accumulation type: weight [R, C + E] and bias [R] of keys and values together, axes [S,
  // E] each.
  at::Tensor weight() const;
  at::Tensor bias() const { return bias_; }
  const std::vector<at::Tensor>& axes() const { return axes_; }

 private:
  // `shared` [t, R]: the scaled gradient summed over the items.
  void add_axes(const KeyTile& tile, const Range& keys, const at::Tensor& shared, const at::Tensor& mean_grad,
                const at::Tensor& mean_product);

  const ProjectedKeys& keys_;
  at::Tensor grad_values_;
  at::Tensor channel_weight_;                 // [R, C]
  std::vector<at::Tensor> axis_projections_;  // [S, R] for the axes projected ahead
  std::vector<at::Tensor> axis_weights_;      // [R, E] for the others
  at::Tensor position_mean_;                  // [R]: what LayerNorm's mean takes off every position column
  at::Tensor bias_;                           // [R]
  std::vector<at::Tensor> axes_;              // [S, E], where asked for
};

}  // namespace perceive::ops::formula
