// JPEG, by libjpeg(-turbo).
//
// libjpeg leaves on an error by a callback that must not return. It jumps back into read_header() or read_rows(), whose
// frames, and those between, hold no object with a destructor; all that needs one lives in read_jpeg().
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <fmt/core.h>

#include <csetjmp>
#include <cstdio>
#include <cstring>
// libjpeg's headers need stdio.h before them.
#include <jerror.h>
#include <jpeglib.h>

#include "perceive/core/error.h"
#include "perceive/data/image_formats.h"

namespace perceive::data {
namespace {

// A progressive picture may hold any number of passes over all its pixels; real ones have about ten.
constexpr int kMostScans = 500;
constexpr unsigned kExifMarker = JPEG_APP0 + 1;

struct Jpeg {
  jpeg_decompress_struct info;
  jpeg_error_mgr errors;
  jpeg_progress_mgr progress;
  std::jmp_buf back;
  char message[JMSG_LENGTH_MAX];
};

[[noreturn]] void leave(j_common_ptr info) {
  auto& jpeg = *static_cast<Jpeg*>(info->client_data);
  info->err->format_message(info, jpeg.message);
  std::longjmp(jpeg.back, 1);
}

// Where data is damaged libjpeg only warns, fills in gray and goes on; here a picture is whole or refused.
void on_message(j_common_ptr info, int level) {
  if (level >= 0) return;
  switch (info->err->msg_code) {
    case JWRN_ADOBE_XFORM:
    case JWRN_EXTRANEOUS_DATA:
    case JWRN_JFIF_MAJOR:
    case JWRN_NOT_SEQUENTIAL:
      return;  // harmless, and common
    default:
      leave(info);
  }
}

void on_progress(j_common_ptr info) {
  auto& jpeg = *static_cast<Jpeg*>(info->client_data);
  if (jpeg.info.input_scan_number <= kMostScans) return;
  std::snprintf(jpeg.message, sizeof jpeg.message, "more than %d scans", kMostScans);
  std::longjmp(jpeg.back, 1);
}

bool read_header(Jpeg& jpeg, FILE* file) {
  jpeg.info.err = jpeg_std_error(&jpeg.errors);
  jpeg.info.client_data = &jpeg;
  jpeg.errors.error_exit = leave;
  jpeg.errors.emit_message = on_message;
  jpeg.progress.progress_monitor = on_progress;
  if (setjmp(jpeg.back)) return false;
  jpeg_create_decompress(&jpeg.info);
  jpeg.info.progress = &jpeg.progress;
  jpeg_stdio_src(&jpeg.info, file);
  jpeg_save_markers(&jpeg.info, kExifMarker, 0xffff);
  jpeg_read_header(&jpeg.info, TRUE);
  return true;
}

bool read_rows(Jpeg& jpeg, uint8_t* pixels, size_t row_size) {
  if (setjmp(jpeg.back)) return false;
  jpeg_start_decompress(&jpeg.info);
  while (jpeg.info.output_scanline < jpeg.info.output_height) {
    JSAMPROW row = pixels + jpeg.info.output_scanline * row_size;
    jpeg_read_scanlines(&jpeg.info, &row, 1);
  }
  jpeg_finish_decompress(&jpeg.info);
  return true;
}

class JpegFile {
 public:
  ~JpegFile() { jpeg_destroy_decompress(&jpeg); }
  JpegFile() = default;
  JpegFile(const JpegFile&) = delete;
  JpegFile& operator=(const JpegFile&) = delete;

  Jpeg file{};
  jpeg_decompress_struct& jpeg = file.info;
};

[[noreturn]] void refuse(const JpegFile& jpeg, const std::string& path) {
  throw core::DataError(fmt::format("{}: a damaged JPEG picture: {}", path, jpeg.file.message));
}

at::Tensor rgb_of_cmyk(const at::Tensor& pixels, bool inverted) {
  at::Tensor ink = pixels.to(at::kShort);
  if (!inverted) ink = 255 - ink;
  const at::Tensor product = ink.narrow(2, 0, 3).to(at::kInt) * ink.narrow(2, 3, 1);
  return product.add_(127).floor_divide_(255).to(at::kByte);
}

// The value of tag 0x0112 in the first directory of EXIF's TIFF block: 1 to 8, or 1 where there is none.
int orientation(const jpeg_saved_marker_ptr markers) {
  const jpeg_marker_struct* marker = markers;
  while (marker &&
         (marker->marker != kExifMarker || marker->data_length < 14 || std::memcmp(marker->data, "Exif\0", 6))) {
    marker = marker->next;
  }
  if (!marker) return 1;
  const uint8_t* tiff = marker->data + 6;
  const size_t size = marker->data_length - 6;
  const bool little = tiff[0] == 'I';
  const auto number = [&](size_t at, size_t bytes) -> size_t {
    if (at > size || bytes > size - at) return 0;
    size_t value = 0;
    for (size_t i = 0; i < bytes; ++i) value = value << 8 | tiff[at + (little ? bytes - 1 - i : i)];
    return value;
  };
  const size_t directory = number(4, 4);
  const size_t entries = number(directory, 2);
  for (size_t i = 0; i < entries; ++i) {
    const size_t entry = directory + 2 + 12 * i;
    if (number(entry, 2) == 0x0112) {
      const size_t value = number(entry + 8, 2);
      return value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
    }
  }
  return 1;
}

at::Tensor upright(const at::Tensor& pixels, int orientation) {
  switch (orientation) {
    case 2:
      return pixels.flip({1});
    case 3:
      return pixels.flip({0, 1});
    case 4:
      return pixels.flip({0});
    case 5:
      return pixels.transpose(0, 1);
    case 6:
      return pixels.transpose(0, 1).flip({1});
    case 7:
      return pixels.transpose(0, 1).flip({0, 1});
    case 8:
      return pixels.transpose(0, 1).flip({0});
    default:
      return pixels;
  }
}

}  // namespace

at::Tensor read_jpeg(FILE* file, const std::string& path, int64_t most_pixels) {
  JpegFile jpeg;
  if (!read_header(jpeg.file, file)) refuse(jpeg, path);
  jpeg_decompress_struct& info = jpeg.jpeg;
  check_pixels(path, info.image_height, info.image_width, most_pixels);

  const bool gray = info.jpeg_color_space == JCS_GRAYSCALE;
  const bool cmyk = info.jpeg_color_space == JCS_CMYK || info.jpeg_color_space == JCS_YCCK;
  info.out_color_space = gray ? JCS_GRAYSCALE : cmyk ? JCS_CMYK : JCS_RGB;
  const int64_t channels = gray ? 1 : cmyk ? 4 : 3;
  const int64_t width = info.image_width;
  const int turn = orientation(info.marker_list);  // read_rows() ends with the list being freed
  at::Tensor pixels = at::empty({int64_t{info.image_height}, width, channels}, at::kByte);
  if (!read_rows(jpeg.file, pixels.mutable_data_ptr<uint8_t>(), width * channels)) refuse(jpeg, path);
  if (cmyk) pixels = rgb_of_cmyk(pixels, info.saw_Adobe_marker);
  return upright(pixels, turn).contiguous();
}

}  // namespace perceive::data
