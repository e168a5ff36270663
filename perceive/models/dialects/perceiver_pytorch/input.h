// What the models of perceiver-pytorch read: data whose places lie on some axes, and a mask.
//
// Shapes: B batch, S_a sizes of the axes, S their product, C channels, K frequency bands.
#pragma once

#include <cstdint>
#include <optional>

#include "perceive/ops/source.h"

namespace perceive::models::perceiver_pytorch {

// [...] to [..., 2K + 1]: sin(pi s x) for s = linspace(1, max_freq / 2, K), the cosines, x; every step in the dtype of
// x.
at::Tensor fourier_encode(const at::Tensor& x, double max_freq, int64_t num_bands = 4);

struct FourierFeatures {
  int64_t bands = 6;
  double max_freq = 10.0;
  bool in_dtype_of_data = false;  // else in torch's default dtype, to which data of a narrower one is widened
};
struct InputOptions {
  int64_t axes = 2, channels = 3;
  std::optional<FourierFeatures> fourier;  // of each axis, behind the channels
};
int64_t width(const InputOptions& options);

// data [B, S_0, …, C] as one row of keys, with a table of features an axis; mask as in flat_mask.
ops::Source source(const InputOptions& options, const at::Tensor& data, const at::Tensor& mask, int64_t heads);

// mask [B, …] of S elements a sample, bool, as [B, S]; undefined stays undefined. One for the whole batch, [1, …], fits
// attention of one head only, as in the original.
at::Tensor flat_mask(const at::Tensor& mask, int64_t batch, int64_t keys, int64_t heads);

}  // namespace perceive::models::perceiver_pytorch
