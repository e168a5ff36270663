// PNG and JPEG files that the tests of data/ write for themselves, in every form that files come in.
#pragma once

#include <cstdio>
#include <functional>
#include <optional>
#include <string>
// libjpeg's header needs stdio.h before it.
#include <jpeglib.h>
#include <png.h>

#include "files.h"

namespace perceive::data {

struct PngForm {
  int color = PNG_COLOR_TYPE_GRAY;
  int bits = 8;
  bool interlaced = false;
  std::vector<png_color> palette = {};
  std::optional<double> gamma = {};
};

// `rows` are as PNG stores them: `bits` a channel, 16 bits big-endian, each row on a byte of its own.
inline std::string write_png(const std::string& path, int width, int height, const PngForm& form, Bytes rows) {
  FILE* file = std::fopen(path.c_str(), "wb");
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
  png_infop info = png_create_info_struct(png);
  png_init_io(png, file);
  png_set_IHDR(png, info, width, height, form.bits, form.color, form.interlaced ? PNG_INTERLACE_ADAM7 : 0, 0, 0);
  if (!form.palette.empty()) png_set_PLTE(png, info, form.palette.data(), form.palette.size());
  if (form.gamma) png_set_gAMA(png, info, *form.gamma);
  png_write_info(png, info);
  std::vector<png_bytep> pointers;
  for (int y = 0; y < height; ++y) pointers.push_back(rows.data() + y * png_get_rowbytes(png, info));
  png_write_image(png, pointers.data());
  png_write_end(png, info);
  png_destroy_write_struct(&png, &info);
  std::fclose(file);
  return path;
}

struct JpegForm {
  J_COLOR_SPACE space = JCS_GRAYSCALE;
  Bytes exif = {};  // of an APP1 marker
  bool adobe = true;
  std::vector<jpeg_scan_info> scans = {};
};

inline std::string write_jpeg(const std::string& path, int width, int height, const JpegForm& form, Bytes rows) {
  FILE* file = std::fopen(path.c_str(), "wb");
  jpeg_compress_struct info{};
  jpeg_error_mgr errors;
  info.err = jpeg_std_error(&errors);
  jpeg_create_compress(&info);
  jpeg_stdio_dest(&info, file);
  info.image_width = width;
  info.image_height = height;
  info.input_components = form.space == JCS_GRAYSCALE ? 1 : form.space == JCS_CMYK ? 4 : 3;
  info.in_color_space = form.space;
  jpeg_set_defaults(&info);
  jpeg_set_quality(&info, 100, TRUE);
  if (!form.adobe) info.write_Adobe_marker = FALSE;
  if (!form.scans.empty()) {
    info.scan_info = form.scans.data();
    info.num_scans = static_cast<int>(form.scans.size());
  }
  jpeg_start_compress(&info, TRUE);
  if (!form.exif.empty()) jpeg_write_marker(&info, JPEG_APP0 + 1, form.exif.data(), form.exif.size());
  while (info.next_scanline < info.image_height) {
    JSAMPROW row = rows.data() + info.next_scanline * width * info.input_components;
    jpeg_write_scanlines(&info, &row, 1);
  }
  jpeg_finish_compress(&info);
  jpeg_destroy_compress(&info);
  std::fclose(file);
  return path;
}

}  // namespace perceive::data
