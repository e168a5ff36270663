// Keys and values of a tile, from channels, position tables and LayerNorm.
#include "perceive/ops/formula/projected_keys.h"

#include <ATen/ATen.h>

namespace perceive::ops::formula {
namespace {

// Axes of at most this share of the keys are projected whole, ahead: longer ones would take memory that grows with M.
constexpr int64_t kKeysPerProjectedRow = 8;

// MKL's single product may change its bits with the number of threads, even when called from one; its batched one, on a
// batch of one, does not.
at::Tensor product(const at::Tensor& a, const at::Tensor& b) {
  return at::bmm(a.unsqueeze(0), b.unsqueeze(0)).squeeze(0);
}

}  // namespace

ProjectedKeys::ProjectedKeys(const at::Tensor& values, at::TensorList axes, const at::Tensor& mask,
                             const FoldedProjection& projection, const SourceRange& range, int64_t key_width,
                             at::ScalarType type)
    : values_(values),
      mask_(mask),
      normalize_(projection.normalize),
      norm_eps_(projection.norm_eps),
      first_(range.first),
      channels_(values.size(2)),
      heads_(projection.heads),
      key_rows_(projection.heads * key_width),
      value_rows_(projection.value_weight.size(0)),
      type_(type) {
  const auto weight = at::cat({projection.key_weight.to(type), projection.value_weight.to(type)}, 0);
  if (projection.key_bias.defined() || projection.value_bias.defined()) {
    const auto or_zero = [&](const at::Tensor& bias, int64_t rows) {
      return bias.defined() ? bias.to(type) : at::zeros({rows}, weight.options());
    };
    bias_ = at::cat({or_zero(projection.key_bias, key_rows_), or_zero(projection.value_bias, value_rows_)});
  }
  channel_weight_ = weight.narrow(1, 0, channels_);
  channel_sums_ = channel_weight_.sum(1);
  position_sums_ = weight.narrow(1, channels_, weight.size(1) - channels_).sum(1);
  for (const auto& features : axes) {
    Axis axis;
    axis.features = features.to(type);
    axis.weight = weight.narrow(1, channels_ + position_width_, features.size(1));
    if (features.size(0) * kKeysPerProjectedRow <= range.length)
      axis.projected = product(axis.features, axis.weight.t());
    position_width_ += features.size(1);
    axes_.push_back(std::move(axis));
  }
  for (size_t a = axes_.size(); a-- > 1;) axes_[a - 1].stride = axes_[a].stride * axes_[a].features.size(0);
  tile_weight_ = normalize_ ? at::cat({channel_weight_, channel_sums_.unsqueeze(1), -position_sums_.unsqueeze(1)}, 1)
                            : channel_weight_;
  tile_weight_ = tile_weight_.t().contiguous();
}

at::Tensor ProjectedKeys::axis_rows(const Axis& axis, const Range& keys) const {
  const auto index = at::arange(first_ + keys.begin, first_ + keys.end, values_.options().dtype(at::kLong));
  return index.div_(axis.stride, "floor").remainder_(axis.features.size(0));
}

at::Tensor ProjectedKeys::axis_features(const Axis& axis, const Range& keys) const {
  if (axes_.size() == 1) return axis.features.narrow(0, first_ + keys.begin, keys.size());
  return axis.features.index_select(0, axis_rows(axis, keys));
}

ProjectedKeys::PositionTile ProjectedKeys::positions(const Range& keys) const {
  PositionTile tile;
  std::vector<at::Tensor> features;
  for (const auto& axis : axes_) {
    const auto rows = axis_features(axis, keys);
    const auto part = axis.projected.defined() ? axis.projected.index_select(0, axis_rows(axis, keys))
                                               : product(rows, axis.weight.t());
    tile.projected = tile.projected.defined() ? tile.projected.add_(part) : part;
    if (normalize_) features.push_back(rows);
  }
  if (normalize_) {
    const auto all = at::cat(features, 1);
    tile.mean = all.mean(1, true);
    tile.deviation = (all - tile.mean).square_().sum(1, true);
  }
  return tile;
}

KeyTile ProjectedKeys::tile(const Range& items, const Range& keys) const {
  KeyTile tile;
  auto x = narrow(narrow(values_, 0, items), 1, keys).to(type_);
  if (mask_.defined()) x = x.masked_fill(narrow(narrow(mask_, 0, items), 1, keys).logical_not().unsqueeze(2), 0.0);
  const PositionTile position = axes_.empty() ? PositionTile() : positions(keys);
  at::Tensor input = x;
  if (normalize_) {
    const auto c = static_cast<double>(channels_), e = static_cast<double>(position_width_);
    at::Tensor channel_mean, deviation;
    if (channels_ > 0) {
      channel_mean = x.mean(2, true);
      x = x - channel_mean;
      deviation = x.square().sum(2, true);
    } else {
      channel_mean = at::zeros({x.size(0), x.size(1), 1}, x.options());
      deviation = at::zeros_like(channel_mean);
    }
    tile.mean = channel_mean;
    if (position_width_ > 0) {
      tile.mean = (channel_mean * c).add_(position.mean, e).div_(c + e);
      deviation.add_(position.deviation)
          .add_((channel_mean - tile.mean).square_(), c)
          .add_((position.mean - tile.mean).square_(), e);
    }
    tile.inverse = deviation.div_(c + e).add_(norm_eps_).rsqrt_();
    const auto shift = channel_mean - tile.mean;
    input = at::cat({x, shift, tile.mean}, 2);
    tile.centred = x.add_(shift);
  } else {
    tile.centred = x;
  }
  const auto weight = tile_weight_.unsqueeze(0).expand({x.size(0), -1, -1});
  tile.projected = position.projected.defined() ? at::baddbmm(position.projected.unsqueeze(0), input, weight)
                                                : at::bmm(input, weight);
  if (normalize_) tile.projected.mul_(tile.inverse);
  const auto biased = bias_.defined() ? tile.projected + bias_ : tile.projected;
  const auto heads = [&](int64_t begin, int64_t rows) {
    return biased.narrow(2, begin, rows).unflatten(2, {heads_, rows / heads_}).transpose(1, 2);
  };
  tile.k = heads(0, key_rows_);
  tile.v = heads(key_rows_, value_rows_);
  return tile;
}

ProjectedKeyGradients::ProjectedKeyGradients(const ProjectedKeys& keys, at::Tensor grad_values, bool axes_need_grad)
    : keys_(keys), grad_values_(std::move(grad_values)) {
  const int64_t rows = keys.key_rows_ + keys.value_rows_;
  const auto options = keys.channel_weight_.options();
  channel_weight_ = at::zeros({rows, keys.channels_}, options);
  position_mean_ = at::zeros({rows}, options);
  bias_ = at::zeros({rows}, options);
  for (const auto& axis : keys.axes_) {
    const bool ahead = axis.projected.defined();
    axis_projections_.push_back(ahead ? at::zeros_like(axis.projected) : at::Tensor());
    axis_weights_.push_back(ahead ? at::Tensor() : at::zeros({rows, axis.features.size(1)}, options));
    if (axes_need_grad) axes_.push_back(at::zeros_like(axis.features));
  }
}

void ProjectedKeyGradients::add(const KeyTile& tile, const Range& items, const Range& keys, const at::Tensor& grad_k,
                                const at::Tensor& grad_v) {
  const auto grad = at::cat({grad_k.transpose(1, 2).flatten(2), grad_v.transpose(1, 2).flatten(2)}, 2);
  bias_.add_(grad.sum(at::IntArrayRef{0, 1}));
  const auto scaled = keys_.normalize_ ? grad * tile.inverse : grad;
  channel_weight_.add_(at::bmm(scaled.transpose(1, 2), tile.centred).sum(0));
  const auto shared = scaled.sum(0);  // positions are the same for every item
  for (size_t a = 0; a < keys_.axes_.size(); ++a) {
    const auto& axis = keys_.axes_[a];
    if (axis.projected.defined()) {
      axis_projections_[a].index_add_(0, keys_.axis_rows(axis, keys), shared);
    } else {
      axis_weights_[a].add_(product(shared.t(), keys_.axis_features(axis, keys)));
    }
  }
  const bool wants_inputs = grad_values_.defined() || !axes_.empty();
  at::Tensor mean_grad, mean_product;
  if (keys_.normalize_) {
    if (!keys_.axes_.empty()) position_mean_.add_(at::bmm(scaled.transpose(1, 2), tile.mean).sum(0).squeeze(1));
    if (wants_inputs) {
      const auto width = static_cast<double>(keys_.channels_ + keys_.position_width_);
      mean_grad = (grad * (keys_.channel_sums_ + keys_.position_sums_)).sum(2, true).div_(width);
      mean_product = (grad * tile.projected).sum(2, true).div_(width);
    }
  }
  if (grad_values_.defined()) {
    auto grad_x = at::bmm(grad, keys_.channel_weight_.unsqueeze(0).expand({grad.size(0), -1, -1}));
    if (keys_.normalize_) {
      grad_x.sub_(mean_grad).addcmul_(tile.centred, tile.inverse * mean_product, -1.0).mul_(tile.inverse);
    }
    if (keys_.mask_.defined()) {
      grad_x.masked_fill_(narrow(narrow(keys_.mask_, 0, items), 1, keys).logical_not().unsqueeze(2), 0.0);
    }
    narrow(narrow(grad_values_, 0, items), 1, keys).copy_(grad_x);
  }
  if (!axes_.empty()) add_axes(tile, keys, shared, mean_grad, mean_product);
}

void ProjectedKeyGradients::add_axes(const KeyTile& tile, const Range& keys, const at::Tensor& shared,
                                     const at::Tensor& mean_grad, const at::Tensor& mean_product) {
  for (size_t a = 0; a < keys_.axes_.size(); ++a) {
    const auto& axis = keys_.axes_[a];
    auto grad = product(shared, axis.weight);
    if (keys_.normalize_) {
      const auto features = keys_.axis_features(axis, keys);
      const auto slope = (tile.inverse.square() * mean_product).sum(0);
      const auto level = (tile.inverse * (tile.mean * tile.inverse * mean_product - mean_grad)).sum(0);
      grad.addcmul_(features, slope, -1.0).add_(level);
    }
    axes_[a].index_add_(0, keys_.axis_rows(axis, keys), grad);
  }
}

at::Tensor ProjectedKeyGradients::weight() const {
  std::vector<at::Tensor> columns = {channel_weight_};
  for (size_t a = 0; a < keys_.axes_.size(); ++a) {
    auto part =
        axis_projections_[a].defined() ? product(axis_projections_[a].t(), keys_.axes_[a].features) : axis_weights_[a];
    columns.push_back(keys_.normalize_ ? part - position_mean_.unsqueeze(1) : part);
  }
  return at::cat(columns, 1);
}

}  // namespace perceive::ops::formula
