// Images as described inputs.
#include "perceive/nn/input_adapter.h"

#include <c10/util/Exception.h>
#include <c10/util/StringUtil.h>

#include "perceive/core/error.h"
#include "perceive/core/memory.h"
#include "perceive/nn/checks.h"
#include "perceive/ops/fourier.h"

namespace perceive::nn {
namespace {

ops::Positions grid_positions(const ImageInputOptions& options) {
  ops::FourierOptions fourier;
  fourier.grid.assign(options.shape.begin(), options.shape.end() - 1);
  fourier.bands = options.frequency_bands;
  return ops::fourier_positions(fourier);
}

}  // namespace

void check(const ImageInputOptions& options, const std::string& key) {
  if (options.shape.size() < 2) {
    throw core::ConfigError(c10::str(key,
                                     "shape must hold at least one size and the number of channels, channels "
                                     "last; got [",
                                     c10::Join(", ", options.shape), "]"));
  }
  for (const int64_t size : options.shape) require_at_least(key + "shape", size, 1);
  require_at_least(key + "frequency_bands", options.frequency_bands, 1);
  double pixels = 1, table = 0;
  for (size_t a = 0; a + 1 < options.shape.size(); ++a) {
    const auto size = static_cast<double>(options.shape[a]);
    pixels *= size;
    table += size * (2.0 * static_cast<double>(options.frequency_bands) + 1.0);
  }
  const double image = pixels * static_cast<double>(options.shape.back());
  core::require_memory(4 * (image + table), c10::str("one image of shape [", c10::Join(", ", options.shape), "] with ",
                                                     options.frequency_bands, " frequency bands an axis"));
}

int64_t width(const ImageInputOptions& options) {
  const auto axes = static_cast<int64_t>(options.shape.size()) - 1;
  return options.shape.back() + axes * (2 * options.frequency_bands + 1);
}

ImageInputImpl::ImageInputImpl(const ImageInputOptions& options) : options_(options) {
  check(options);
  positions_ = grid_positions(options);
  placed_ = positions_;
}

int64_t ImageInputImpl::width() const {
  return nn::width(options_);
}

void ImageInputImpl::set_positions(ops::Positions positions) {
  TORCH_CHECK(positions.length() == positions_.length() && positions.width() == positions_.width(),
              "ImageInput: positions of ", positions.length(), " x ", positions.width(), " for a grid of ",
              positions_.length(), " x ", positions_.width());
  positions_ = std::move(positions);
  placed_ = positions_;
}

ops::Source ImageInputImpl::source(const at::Tensor& images, const at::Tensor& mask) {
  TORCH_CHECK_VALUE(images.dim() == static_cast<int64_t>(options_.shape.size()) + 1 &&
                        images.sizes().slice(1) == at::IntArrayRef(options_.shape),
                    "image: expected [B, ", c10::Join(", ", options_.shape), "] (channels last); got ", images.sizes());
  TORCH_CHECK_VALUE(images.size(0) > 0, "image: the batch is empty; got ", images.sizes());
  TORCH_CHECK_VALUE(at::isFloatingType(images.scalar_type()), "image: expected floating-point pixels; got ",
                    images.scalar_type());
  const int64_t batch = images.size(0), pixels = positions_.length();
  at::Tensor flat_mask;
  if (mask.defined()) {
    TORCH_CHECK_VALUE(mask.scalar_type() == at::kBool, "mask: expected bool, true where a pixel counts; got ",
                      mask.scalar_type());
    TORCH_CHECK_VALUE(mask.dim() > 1 && mask.size(0) == batch &&
                          (mask.sizes().slice(1) == at::IntArrayRef(pixels) ||
                           mask.sizes().slice(1) == images.sizes().slice(1, images.dim() - 2)),
                      "mask: expected [B, ", pixels, "] or the sizes of the images without channels, ",
                      images.sizes().slice(0, images.dim() - 1), "; got ", mask.sizes());
    flat_mask = mask.reshape({batch, pixels});
  }
  const auto& placed = placed_.axes.front();
  if (placed.scalar_type() != images.scalar_type() || placed.device() != images.device()) {
    for (size_t a = 0; a < positions_.axes.size(); ++a) placed_.axes[a] = positions_.axes[a].to(images.options());
  }
  return ops::Source::of(images.reshape({batch, pixels, images.size(-1)}), placed_, flat_mask);
}

}  // namespace perceive::nn
