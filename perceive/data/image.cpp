// Pictures from PNG and JPEG files, and fitting them to what a model takes.
#include "perceive/data/image.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/_upsample_bilinear2d_aa.h>
#include <fmt/core.h>

#include <algorithm>
#include <array>

#include "perceive/core/error.h"
#include "perceive/data/file.h"
#include "perceive/data/image_formats.h"

namespace perceive::data {

void check_pixels(const std::string& path, int64_t height, int64_t width, int64_t most_pixels) {
  if (height > most_pixels / width) {
    throw core::DataError(fmt::format("{}: a picture of {} x {} pixels; at most {} pixels are accepted", path, width,
                                      height, most_pixels));
  }
}

at::Tensor read_image(const std::string& path, int64_t most_pixels) {
  const File file = open_file(path);
  FILE* stream = file.stream.get();
  std::array<uint8_t, 8> begin{};
  const size_t length = std::fread(begin.data(), 1, begin.size(), stream);
  if (length == 0) throw core::DataError(fmt::format("{}: the file is empty; expected a PNG or JPEG picture", path));
  std::rewind(stream);

  constexpr std::array<uint8_t, 8> kPng{0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
  constexpr std::array<uint8_t, 3> kJpeg{0xff, 0xd8, 0xff};
  if (begin == kPng) return read_png(stream, path, most_pixels);
  if (std::equal(kJpeg.begin(), kJpeg.end(), begin.begin())) return read_jpeg(stream, path, most_pixels);
  throw core::DataError(fmt::format("{}: neither a PNG nor a JPEG picture; convert it to one of them", path));
}

at::Tensor fit_image(const at::Tensor& image, int64_t height, int64_t width, int64_t channels) {
  TORCH_CHECK(image.dim() == 3 && image.scalar_type() == at::kByte && (image.size(2) == 1 || image.size(2) == 3),
              "fit_image: expected uint8 [H, W, 1 | 3], got ", image.scalar_type(), " ", image.sizes());
  TORCH_CHECK(height > 0 && width > 0 && (channels == 1 || channels == 3),
              "fit_image: expected a positive size and 1 or 3 channels, got ", height, " x ", width, " x ", channels);
  at::Tensor fitted = image;
  if (image.size(0) != height || image.size(1) != width) {
    const at::Tensor planes = image.permute({2, 0, 1}).unsqueeze(0);
    fitted = at::_upsample_bilinear2d_aa(planes, {height, width}, /*align_corners=*/false)[0].permute({1, 2, 0});
  }
  if (fitted.size(2) < channels) fitted = fitted.expand({height, width, channels});
  if (fitted.size(2) > channels) {
    // In whole numbers, so that every machine rounds alike.
    const at::Tensor wide = fitted.to(at::kInt);
    const at::Tensor sum = wide.select(2, 0) * 19595 + wide.select(2, 1) * 38470 + wide.select(2, 2) * 7471;
    fitted = sum.add_(0x8000).bitwise_right_shift_(16).to(at::kByte).unsqueeze(2);
  }
  return fitted.contiguous();
}

}  // namespace perceive::data
