// Keys and values by matrices or by windows of rows.
#include "perceive/nn/length_projector.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "perceive/core/error.h"
#include "perceive/nn/checks.h"
#include "perceive/nn/heads.h"
#include "perceive/ops/linear.h"

namespace perceive::nn {
namespace {

using Method = ProjectionMethod;
using Sharing = ProjectionSharing;

bool in_windows(Method method) {
  return method != Method::learned && method != Method::random;
}
bool pools(Method method) {
  return method == Method::mean || method == Method::max;
}
bool one_for_both(Sharing sharing) {
  return sharing == Sharing::key_value || sharing == Sharing::layer;
}

// Windows that n rows need: each has a row that those before have not.
int64_t count_windows(Windows windows, int64_t rows) {
  const auto [kernel, stride] = windows;
  const int64_t starts = (rows + stride - 1) / stride;
  return rows <= kernel ? 1 : std::min(starts, (rows - kernel + stride - 1) / stride + 1);
}

}  // namespace

Windows windows_of(const LengthProjectorOptions& options) {
  const int64_t kernel = options.kernel.value_or((options.length + options.projected - 1) / options.projected);
  return {kernel, options.stride.value_or(kernel)};
}

void check(const LengthProjectorOptions& options, const std::string& key) {
  require_at_least(key + "length", options.length, 1);
  require_at_least(key + "projected", options.projected, 1);
  for (const auto& [name, value] : {std::pair{"kernel", options.kernel}, {"stride", options.stride}}) {
    if (!value) continue;
    require_at_least(key + name, *value, 1);
    if (!in_windows(options.method)) {
      throw core::ConfigError(key + name + " is of the methods convolution, mean and max only; leave it out here");
    }
  }
  if (windows_of(options).kernel > options.length) {
    throw core::ConfigError(key + "kernel must be at most " + std::to_string(options.length) +
                            ", the rows that are projected at once; got " + std::to_string(*options.kernel));
  }
}

double parameter_count(const LengthProjectorOptions& options, int64_t heads, int64_t head_channels) {
  if (pools(options.method)) return 0;
  const double width = static_cast<double>(head_channels);
  const double each = options.method == Method::convolution
                          ? width * width * static_cast<double>(windows_of(options).kernel)
                          : static_cast<double>(options.projected) * static_cast<double>(options.length);
  const double count = options.sharing == Sharing::none ? static_cast<double>(heads) : 1;
  return each * count * (one_for_both(options.sharing) ? 1 : 2);
}

LengthProjectorImpl::LengthProjectorImpl(const LengthProjectorOptions& options, int64_t heads, int64_t head_channels)
    : options_(options), heads_(heads) {
  check(options);
  if (pools(options.method)) return;
  const int64_t count = options.sharing == Sharing::none ? heads : 1;
  const auto make = [&](const char* name) {
    if (options.method == Method::convolution) {
      const int64_t kernel = windows_of(options).kernel;
      const double range = 1.0 / std::sqrt(static_cast<double>(head_channels * kernel));
      return register_parameter(name, at::empty({count, head_channels, head_channels, kernel}).uniform_(-range, range));
    }
    const auto matrix = at::empty({count, options.projected, options.length});
    const double rows = static_cast<double>(options.projected), both = rows + static_cast<double>(options.length);
    if (options.method == Method::random) return register_buffer(name, matrix.normal_(0.0, 1.0 / std::sqrt(rows)));
    return register_parameter(name, matrix.normal_(0.0, std::sqrt(2.0 / both)));
  };
  const bool one = one_for_both(options.sharing);
  key_ = make(one ? "key_value" : "key");
  value_ = one ? key_ : make("value");
}

std::vector<LengthProjection> LengthProjectorImpl::projections(const at::Tensor& of_heads, int64_t rows) const {
  // Views whose gradients are no copies, where there is one matrix for inputs of the full length.
  const auto each = of_heads.size(0) == 1 ? std::vector<at::Tensor>{of_heads.squeeze(0)} : of_heads.unbind();
  const bool first_columns = !in_windows(options_.method) && rows < options_.length;
  std::vector<LengthProjection> all;
  for (const auto& one : each) {
    all.push_back({first_columns ? one.narrow(1, 0, rows) : one, {}, windows_of(options_).stride});
  }
  return all;
}

std::vector<at::Tensor> LengthProjectorImpl::project(const at::Tensor& x, const at::Tensor& weight) const {
  const auto by_key = projections(key_, x.size(1)), by_value = projections(value_, x.size(1));
  if (options_.sharing == Sharing::heads) {
    const auto halves = weight.chunk(2);
    return {project_heads(x, halves[0], heads_, by_key), project_heads(x, halves[1], heads_, by_value)};
  }
  auto by = by_key;
  if (options_.sharing == Sharing::none) by.insert(by.end(), by_value.begin(), by_value.end());
  return project_heads(x, weight, 2 * heads_, by).chunk(2, 1);
}

LengthProjectorImpl::Projected LengthProjectorImpl::forward(const at::Tensor& x, const at::Tensor& weight,
                                                            const at::Tensor& mask) {
  TORCH_CHECK_VALUE(x.dim() == 3 && x.size(1) >= 1 && x.size(1) <= options_.length, "expected between 1 and ",
                    options_.length, " rows, the option length; got ", x.sizes());
  auto rows = mask.defined() ? x.masked_fill(mask.logical_not().unsqueeze(2), 0) : x;
  if (!in_windows(options_.method)) {
    const auto both = project(rows, weight);
    return {both[0], both[1], mask.defined() ? mask.any(1, true).expand({-1, options_.projected}) : mask};
  }
  const auto [kernel, stride] = windows_of(options_);
  const int64_t last = (count_windows({kernel, stride}, x.size(1)) - 1) * stride + kernel;
  const int64_t beyond = std::max<int64_t>(0, last - x.size(1));
  if (beyond > 0) rows = at::constant_pad_nd(rows, {0, 0, 0, beyond});
  auto counts = mask.defined() ? mask : at::ones({1, 1}, x.options().dtype(at::kBool)).expand({x.size(0), x.size(1)});
  if (beyond > 0) counts = at::constant_pad_nd(counts, {0, beyond});
  const auto in_window = counts.unfold(1, kernel, stride).sum(-1);  // [B, k]

  std::vector<at::Tensor> both;
  if (options_.method == Method::mean) {
    const auto mean = rows.unfold(1, kernel, stride).sum(-1) / in_window.clamp_min(1).unsqueeze(2);
    both = split_heads(ops::linear(mean, weight), 2 * heads_).chunk(2, 1);
  } else if (options_.method == Method::max) {
    both = max_heads(rows, weight, 2 * heads_, counts, {kernel, stride}).chunk(2, 1);
  } else {
    both = project(rows, weight);
  }
  return {both[0], both[1], mask.defined() ? in_window.gt(0) : mask};
}

}  // namespace perceive::nn
