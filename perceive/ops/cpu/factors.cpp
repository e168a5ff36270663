// Weights to rows of factors, and gradients back.
#include "perceive/ops/cpu/factors.h"

#include <ATen/ATen.h>

#include "perceive/ops/plan.h"

namespace perceive::ops::cpu {
namespace {

// MKL's single product may change its bits with the number of threads; its batched one, on a batch of one, does not.
at::Tensor product(const at::Tensor& a, const at::Tensor& b) {
  return at::bmm(a.unsqueeze(0), b.unsqueeze(0)).squeeze(0);
}

}  // namespace

Features::Features(Form form, int64_t channels, at::TensorList axis_features, bool normalize, int64_t keys,
                   int64_t outputs)
    : form(form), channels(channels), width(channels) {
  for (const auto& features : axis_features) {
    Axis axis;
    axis.features = features.to(at::kFloat).contiguous();
    axis.table = form == Form::sparse || (form == Form::projected && projected_ahead(features.size(0), keys, outputs));
    width += axis.width();
    axes.push_back(std::move(axis));
  }
  for (size_t a = axes.size(); a-- > 1;) axes[a - 1].step_keys = axes[a].step_keys * axes[a].steps();
  inputs = channels;
  if (normalize && form != Form::dense && !axes.empty()) mean = inputs++;
  for (auto& axis : axes) {
    if (axis.table) continue;
    axis.begin = inputs;
    inputs += axis.rows();
  }
  if (form == Form::dense) {
    constant = inputs++;
    count = inputs;
    return;
  }
  count = inputs;
  constant = count++;
  for (auto& axis : axes) {
    if (!axis.table) continue;
    axis.begin = count;
    count += axis.rows();
  }
}

Factors::Factors(const Features& features, const at::Tensor& weight, const at::Tensor& bias, int64_t heads)
    : features(features),
      heads(heads),
      width(weight.size(0) / heads),
      head_pitch(padded(width, kernels::tile_kernels().width)),
      weight_(weight.to(at::kFloat)) {
  std::vector<at::Tensor> parts = {weight_.narrow(1, 0, features.channels).t()};
  if (features.mean >= 0) {
    const int64_t positions = features.width - features.channels;
    parts.push_back(weight_.narrow(1, features.channels, positions).sum(1).neg().unsqueeze(0));
  }
  const auto constant = (bias.defined() ? bias.to(at::kFloat) : at::zeros({weight_.size(0)}, weight_.options()));
  std::vector<at::Tensor> tables = {constant.unsqueeze(0)};
  int64_t column = features.channels;
  for (const auto& axis : features.axes) {
    const auto columns = weight_.narrow(1, column, axis.width()).t();
    column += axis.width();
    if (axis.table) {
      tables.push_back(product(axis.features, columns));
    } else {
      parts.push_back(columns);
    }
  }
  parts.insert(parts.end(), tables.begin(), tables.end());
  rows_ = padded_heads(at::cat(parts, 0));
}

at::Tensor Factors::padded_heads(const at::Tensor& t) const {
  const auto by_head = t.unflatten(1, {heads, width});
  return at::constant_pad_nd(by_head, {0, head_pitch - width}).flatten(1).contiguous();
}

std::pair<at::Tensor, at::Tensor> Factors::gradient(const at::Tensor& grad_rows) const {
  const auto grad = grad_rows.unflatten(1, {heads, head_pitch}).narrow(2, 0, width).flatten(1);  // [count, R]
  std::vector<at::Tensor> columns = {grad.narrow(0, 0, features.channels).t()};
  for (const auto& axis : features.axes) {
    const auto part = grad.narrow(0, axis.begin, axis.rows()).t();
    const auto of_axis = axis.table ? product(part, axis.features) : part;
    columns.push_back(features.mean >= 0 ? of_axis - grad[features.mean].unsqueeze(1) : of_axis);
  }
  return {at::cat(columns, 1), grad[features.constant].clone()};
}

at::Tensor Factors::channel_columns() const {
  const int64_t pitch = padded(features.channels, kernels::tile_kernels().width);
  const auto columns = padded_heads(weight_.narrow(1, 0, features.channels).t()).t();
  return at::constant_pad_nd(columns, {0, pitch - features.channels}).contiguous();
}

at::Tensor Factors::row_sums() const {
  return padded_heads(weight_.sum(1).unsqueeze(0)).squeeze(0);
}

}  // namespace perceive::ops::cpu
