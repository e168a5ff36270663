// The decoders behind read_image(), one file each. Internal.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <cstdio>
#include <string>

namespace perceive::data {

// `file` stands at its begin; `path` is for messages. uint8 [H, W, 1 | 3].
at::Tensor read_png(FILE* file, const std::string& path, int64_t most_pixels);
at::Tensor read_jpeg(FILE* file, const std::string& path, int64_t most_pixels);

void check_pixels(const std::string& path, int64_t height, int64_t width, int64_t most_pixels);

}  // namespace perceive::data
