// PNG, by libpng's simplified interface: it reports errors by value, so nothing jumps over C++ frames.
#include <ATen/ops/empty.h>
#include <fmt/core.h>
#include <png.h>

#include "perceive/core/error.h"
#include "perceive/data/image_formats.h"

namespace perceive::data {
namespace {

class PngFile {
 public:
  PngFile() { image.version = PNG_IMAGE_VERSION; }
  ~PngFile() { png_image_free(&image); }
  PngFile(const PngFile&) = delete;
  PngFile& operator=(const PngFile&) = delete;

  png_image image{};
};

[[noreturn]] void refuse(const PngFile& png, const std::string& path) {
  throw core::DataError(fmt::format("{}: a damaged PNG picture: {}", path, png.image.message));
}

}  // namespace

at::Tensor read_png(FILE* file, const std::string& path, int64_t most_pixels) {
  PngFile png;
  if (!png_image_begin_read_from_stdio(&png.image, file)) refuse(png, path);
  const int64_t height = png.image.height;
  const int64_t width = png.image.width;
  check_pixels(path, height, width, most_pixels);

  const bool colour = png.image.format & PNG_FORMAT_FLAG_COLOR;
  const bool alpha = png.image.format & PNG_FORMAT_FLAG_ALPHA;
  const int64_t channels = colour ? 3 : 1;
  // A format without alpha would make libpng blend with a background.
  png.image.format = (colour ? PNG_FORMAT_RGB : PNG_FORMAT_GRAY) | (alpha ? PNG_FORMAT_FLAG_ALPHA : 0);
  png.image.flags |= PNG_IMAGE_FLAG_16BIT_sRGB;
  at::Tensor pixels = at::empty({height, width, channels + (alpha ? 1 : 0)}, at::kByte);
  constexpr int kPackedRows = 0;
  if (!png_image_finish_read(&png.image, nullptr, pixels.mutable_data_ptr(), kPackedRows, nullptr)) refuse(png, path);
  return pixels.narrow(2, 0, channels).contiguous();
}

}  // namespace perceive::data
