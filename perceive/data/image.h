// Pictures from PNG and JPEG files, and fitting them to what a model takes.
//
// One rule for what files hold: the result has 8 bits a channel, and one channel (gray) or three (RGB).
//   palette             its colours
//   16 bits             scaled to 8
//   alpha               dropped; the colours under it stay as they are stored
//   PNG with a gamma    converted to sRGB, which is assumed where a file says nothing
//   CMYK, YCCK          converted by R = C K / 255 for Adobe's inverted values, which nearly all such files have
//   EXIF orientation    applied (JPEG)
//   animation           its first picture
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

namespace perceive::data {

constexpr int64_t kMostPixels = int64_t{1} << 27;

// uint8 [H, W, 1 | 3]. The format is told by the content. Throws core::DataError naming the file where it is missing,
// of another format, damaged, cut off, or of more than `most_pixels` pixels (told from its header, before memory is
// taken).
at::Tensor read_image(const std::string& path, int64_t most_pixels = kMostPixels);

// `image` uint8 [H, W, 1 | 3] as uint8 [height, width, channels], channels being 1 or 3. Resized with antialiased
// bilinear interpolation, its proportions not kept; gray is repeated; RGB becomes the luma of ITU-R BT.601.
at::Tensor fit_image(const at::Tensor& image, int64_t height, int64_t width, int64_t channels);

}  // namespace perceive::data
