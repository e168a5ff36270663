// Image files to predict.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "perceive/data/image_files.h"
#include "perceive/data/module.h"

namespace perceive::cli {

// Fitted to a model.
class ImageInputs : public data::DataModule {
 public:
  // Throws core::DataError where there are none.
  ImageInputs(const std::vector<std::string>& files_and_folders, const data::ImageFilesOptions& options,
              const data::LoaderOptions& loader);
  std::unique_ptr<data::Loader> predict() const override;
  std::string fingerprint() const override { return files_->fingerprint(); }
  const data::ImageFiles& files() const { return *files_; }

 private:
  std::shared_ptr<data::ImageFiles> files_;
  data::LoaderOptions loader_;
};

}  // namespace perceive::cli
