// What a classifier says of images: as a table to read, and as a file of comma-separated values.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "perceive/data/image_files.h"
#include "perceive/data/module.h"
#include "perceive/train/trainer.h"

namespace perceive::cli {

struct ImagePrediction {
  std::string image;                                    // a file, or "test 17"
  std::vector<std::pair<std::string, double>> answers;  // class and probability, the most likely first
  std::optional<std::string> truth;
};

// Image files to predict, fitted to a model.
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

struct PredictionOptions {
  std::vector<std::string> classes;
  int64_t top_k = 1;                                // answers to each
  std::function<std::string(int64_t index)> image;  // what an image is called
  std::string checkpoint;
};
std::vector<ImagePrediction> predict_images(train::Trainer& trainer, train::Learner& learner,
                                            const data::DataModule& data, const PredictionOptions& options);

// One line an image, of at most `rows` images. Wrong ones name the truth.
std::string table(const std::vector<ImagePrediction>& predictions, size_t rows);
// image, class, probability, class_2, probability_2, …, and truth where it is known. Throws core::FileError.
void write_csv(const std::vector<ImagePrediction>& predictions, const std::filesystem::path& file);

}  // namespace perceive::cli
