// samples.png: images with the names predicted for them and their true names.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "cli/pictures/canvas.h"

namespace perceive::cli {

struct Sample {
  RgbImage image;
  std::string predicted, truth;
  double probability = 0;  // of the predicted name
};

// A grid of six a row under `heading`; wrong ones carry a cross, a coloured frame and their true name.
void draw_samples(const std::string& heading, const std::vector<Sample>& samples, const std::filesystem::path& png);

}  // namespace perceive::cli
