// samples.png and attention.png of an image classifier.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "perceive/data/dataset.h"
#include "perceive/data/normalize.h"
#include "perceive/models/perceiver_io.h"
#include "perceive/train/learner.h"

namespace perceive::cli {

// What the numbers of a batch mean to people.
struct ImageNames {
  std::vector<std::string> classes;
  bool channels_last = true;
  data::Normalization normalization = true;  // that the pixels went through
};

class ImageClassifierPictures {
 public:
  // The learner is used in evaluation mode.
  ImageClassifierPictures(train::Learner& learner, ImageNames names);

  // The first images of `test`, with what the classifier says of them.
  void draw_samples(const data::Dataset& test, const std::filesystem::path& png);
  // Some images of different classes, with where the output query looks, and the latents that it reads most.
  // `maps_of`: of images, by the model of the learner.
  void draw_attention(const std::function<models::AttentionMaps(const at::Tensor&)>& maps_of, const data::Dataset& test,
                      const std::filesystem::path& png);

 private:
  train::Learner& learner_;
  ImageNames names_;
};

}  // namespace perceive::cli
