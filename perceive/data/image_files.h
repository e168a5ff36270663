// Pictures in files and folders as a data set without labels, for predict.
#pragma once

#include "perceive/data/dataset.h"
#include "perceive/data/file_list.h"
#include "perceive/data/normalize.h"

namespace perceive::data {

// The files named, and all .png, .jpg and .jpeg files (in any case) of the folders named.
FileList list_images(const std::vector<std::string>& files_and_folders);

struct ImageFilesOptions {
  std::vector<int64_t> image_shape{28, 28, 1};  // of the model: [H, W, C], or [C, H, W]; C is 1 or 3
  bool channels_last = true;
  Normalization normalize = true;
};
// Throws core::ConfigError.
void check(const ImageFilesOptions& options);

// Batches are {"image": float [B, …image_shape]}, each picture fitted as fit_image() does. A file is read when its
// batch is made; what is wrong with it is a core::DataError naming it.
class ImageFiles : public Dataset {
 public:
  ImageFiles(std::vector<std::string> files, const ImageFilesOptions& options);

  int64_t size() const override;
  Batch batch(const std::vector<int64_t>& indices, uint64_t seed) const override;
  std::string fingerprint() const override;  // the number of files and a CRC-32 of their names and sizes

  const std::string& file(int64_t index) const;

 private:
  std::vector<std::string> files_;
  ImageFilesOptions options_;
};

}  // namespace perceive::data
