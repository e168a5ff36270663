// Pictures in files and folders as a data set without labels, for predict.
#include "perceive/data/image_files.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/stack.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <zlib.h>

#include <algorithm>
#include <filesystem>

#include "perceive/core/error.h"
#include "perceive/data/image.h"

namespace perceive::data {
namespace {

namespace fs = std::filesystem;

bool named_as_image(const std::string& path) {
  std::string extension = fs::path(path).extension().native();
  for (char& c : extension) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return extension == ".png" || extension == ".jpg" || extension == ".jpeg";
}

}  // namespace

FileList list_images(const std::vector<std::string>& files_and_folders) {
  return list_files(files_and_folders, named_as_image, ".png, .jpg or .jpeg");
}

void check(const ImageFilesOptions& o) {
  const auto& shape = o.image_shape;
  const bool sizes = shape.size() == 3 && *std::min_element(shape.begin(), shape.end()) > 0;
  const int64_t channels = sizes ? shape[o.channels_last ? 2 : 0] : 0;
  if (channels != 1 && channels != 3) {
    throw core::ConfigError(fmt::format("image_shape: expected {} with 1 or 3 channels for picture files, got [{}]",
                                        o.channels_last ? "[H, W, C]" : "[C, H, W]", fmt::join(shape, ", ")));
  }
}

ImageFiles::ImageFiles(std::vector<std::string> files, const ImageFilesOptions& options)
    : files_(std::move(files)), options_(options) {
  check(options);
}

int64_t ImageFiles::size() const {
  return static_cast<int64_t>(files_.size());
}

const std::string& ImageFiles::file(int64_t index) const {
  TORCH_CHECK_INDEX(index >= 0 && index < size(), "ImageFiles: expected an index below ", size(), ", got ", index);
  return files_[index];
}

Batch ImageFiles::batch(const std::vector<int64_t>& indices, uint64_t /*seed*/) const {
  const auto& shape = options_.image_shape;
  const bool last = options_.channels_last;
  std::vector<at::Tensor> images;
  for (const int64_t index : indices) {
    const at::Tensor image = read_image(file(index));
    images.push_back(last ? fit_image(image, shape[0], shape[1], shape[2])
                          : fit_image(image, shape[1], shape[2], shape[0]).permute({2, 0, 1}));
  }
  const at::Tensor bytes = at::stack(images).contiguous();
  at::Tensor values = at::empty(bytes.sizes(), at::kFloat);
  const int64_t channels = shape[last ? 2 : 0];
  const int64_t step = last ? 1 : shape[1] * shape[2];  // from a channel's value to the next one's
  std::vector<std::array<float, 256>> tables;
  for (int64_t channel = 0; channel < channels; ++channel) tables.push_back(options_.normalize.values(channel));
  const uint8_t* from = bytes.const_data_ptr<uint8_t>();
  float* to = values.mutable_data_ptr<float>();
  for (int64_t i = 0; i < bytes.numel(); ++i) to[i] = tables[i / step % channels][from[i]];
  return {{"image", values}};
}

std::string ImageFiles::fingerprint() const {
  uLong sum = 0;
  for (const auto& file : files_) {
    std::error_code missing;
    const std::string entry = fmt::format("{}\n{}\n", file, fs::file_size(file, missing));
    sum = crc32_z(sum, reinterpret_cast<const Bytef*>(entry.data()), entry.size());
  }
  return fmt::format("{} picture files, crc32 {:08x}", files_.size(), sum);
}

}  // namespace perceive::data
