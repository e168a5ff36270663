// Weights as colours.
#pragma once

#include <vector>

#include "cli/pictures/canvas.h"

namespace perceive::cli {

// Weights of a grid; shown relative to the largest of them.
struct HeatMap {
  int width = 0, height = 0;
  std::vector<float> weights;  // [height, width], not negative
};

// [height, width] of the map; over `under`, where it is given, in grey.
RgbImage heat_image(const HeatMap& map, const RgbImage& under = {});
// What the colours mean, with words on both sides of the box.
void draw_colour_bar(Canvas& canvas, const Box& box);

}  // namespace perceive::cli
