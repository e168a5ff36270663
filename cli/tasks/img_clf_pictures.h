// samples.png and attention.png of an image classifier.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "perceive/data/dataset.h"
#include "perceive/models/perceiver_io.h"
#include "perceive/train/learner.h"

namespace perceive::cli {

// What the numbers of a batch mean to people.
struct ImageNames {
  std::vector<std::string> classes;
  bool channels_last = true;
  bool normalized = true;  // pixels in [-1, 1], not [0, 1]
};

class ImageClassifierPictures {
 public:
  // `model`: what the learner computes with. Both are used in evaluation mode.
  ImageClassifierPictures(train::Learner& learner, models::PerceiverIO model, ImageNames names);

  // The first images of `test`, with what the classifier says of them.
  void draw_samples(const data::Dataset& test, const std::filesystem::path& png);
  // Some images of different classes, with where the output query looks, and the latents that it reads most.
  void draw_attention(const data::Dataset& test, const std::filesystem::path& png);

 private:
  train::Learner& learner_;
  models::PerceiverIO model_;
  ImageNames names_;
};

}  // namespace perceive::cli
