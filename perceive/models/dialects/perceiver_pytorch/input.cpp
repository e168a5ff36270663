// Data on axes as a source.
#include "perceive/models/dialects/perceiver_pytorch/input.h"

#include <ATen/ATen.h>
#include <c10/core/DefaultDtype.h>
#include <c10/util/Exception.h>

#include <cmath>

namespace perceive::models::perceiver_pytorch {

at::Tensor fourier_encode(const at::Tensor& x, double max_freq, int64_t num_bands) {
  const auto scales = at::linspace(1.0, max_freq / 2.0, num_bands, x.options().requires_grad(false));
  const auto last = x.unsqueeze(-1);
  const auto angle = last * scales * M_PI;
  return at::cat({angle.sin(), angle.cos(), last}, -1);
}

int64_t width(const InputOptions& options) {
  return options.channels + (options.fourier ? options.axes * (2 * options.fourier->bands + 1) : 0);
}

at::Tensor flat_mask(const at::Tensor& mask, int64_t batch, int64_t keys, int64_t heads) {
  if (!mask.defined()) return {};
  TORCH_CHECK_VALUE(mask.scalar_type() == at::kBool, "mask: expected bool, true where an element counts; got ",
                    mask.scalar_type());
  TORCH_CHECK_VALUE(mask.dim() > 0 && mask.numel() == mask.size(0) * keys, "mask: expected ", keys,
                    " elements a sample, one for each of the data; got ", mask.sizes());
  TORCH_CHECK_VALUE(mask.size(0) == batch || mask.size(0) == 1, "mask: expected a batch of ", batch, "; got ",
                    mask.sizes());
  TORCH_CHECK_VALUE(mask.size(0) == batch || heads == 1, "mask: one mask for a batch of ", batch,
                    " fits one head of cross-attention, as in the original, not ", heads, "; expand it to the batch");
  return mask.reshape({mask.size(0), keys}).expand({batch, keys});
}

ops::Source source(const InputOptions& options, const at::Tensor& data, const at::Tensor& mask, int64_t heads) {
  TORCH_CHECK_VALUE(data.dim() == options.axes + 2,
                    "input data must have the right number of axis: expected [batch, the ", options.axes, ", ",
                    options.channels, "] (channels last); got ", data.sizes());
  TORCH_CHECK_VALUE(data.size(-1) == options.channels, "data: expected ", options.channels,
                    " channels in the last dimension; got ", data.sizes());
  TORCH_CHECK_VALUE(data.numel() > 0, "data: there is nothing in ", data.sizes());
  auto type = data.scalar_type();
  if (options.fourier && !options.fourier->in_dtype_of_data)
    type = at::promote_types(type, c10::get_default_dtype_as_scalartype());
  TORCH_CHECK_VALUE(at::isFloatingType(type), "data: expected floating-point numbers; got ", data.scalar_type());
  ops::Positions positions;
  if (options.fourier) {
    const auto& [bands, max_freq, in_dtype_of_data] = *options.fourier;
    // A model in double was made in double: with torch's default dtype set to it, as the original's must be to run so.
    const auto computed = in_dtype_of_data || type == at::kDouble ? type : c10::get_default_dtype_as_scalartype();
    const auto like = at::TensorOptions(data.device()).dtype(computed);
    for (int64_t a = 0; a < options.axes; ++a) {
      const auto places = at::linspace(-1.0, 1.0, data.size(a + 1), like);
      positions.axes.push_back(fourier_encode(places, max_freq, bands).to(type));
    }
  }
  const int64_t batch = data.size(0), keys = data.numel() / (batch * options.channels);
  return ops::Source::of(data.reshape({batch, keys, options.channels}).to(type), std::move(positions),
                         flat_mask(mask, batch, keys, heads));
}

}  // namespace perceive::models::perceiver_pytorch
