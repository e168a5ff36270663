// The colours of weights.
#include "cli/pictures/heat.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace perceive::cli {
namespace {

constexpr double kHeatShare = 0.75;  // of a shown pixel; the rest is the image in grey

// Nine points of viridis (van der Walt and Smith, 2015), joined by straight lines: even steps to the eye, and safe for
// the colour-blind.
constexpr std::array<std::array<int, 3>, 9> kViridis{{{68, 1, 84},
                                                      {71, 44, 122},
                                                      {59, 81, 139},
                                                      {44, 113, 142},
                                                      {33, 144, 141},
                                                      {39, 173, 129},
                                                      {92, 200, 99},
                                                      {170, 220, 50},
                                                      {253, 231, 37}}};

std::array<double, 3> heat(double value) {
  const double at = std::clamp(std::isfinite(value) ? value : 0.0, 0.0, 1.0) * (kViridis.size() - 1);
  const auto low = std::min(static_cast<size_t>(at), kViridis.size() - 2);
  const double share = at - static_cast<double>(low);
  std::array<double, 3> color;
  for (size_t c = 0; c < 3; ++c) color[c] = (1 - share) * kViridis[low][c] + share * kViridis[low + 1][c];
  return color;
}

}  // namespace

RgbImage heat_image(const HeatMap& map, const RgbImage& under) {
  RgbImage out{map.width, map.height, {}};
  const float most = map.weights.empty() ? 0 : *std::max_element(map.weights.begin(), map.weights.end());
  const bool over_image = under.width > 0 && under.height > 0;
  const double share = over_image ? kHeatShare : 1;
  out.pixels.reserve(3 * map.weights.size());
  for (int y = 0; y < map.height; ++y) {
    for (int x = 0; x < map.width; ++x) {
      const auto weight = map.weights.at(static_cast<size_t>(y) * map.width + x);
      const auto color = heat(most > 0 ? weight / most : 0);
      double grey = 0;
      if (over_image) {
        const auto at = 3 * (static_cast<size_t>(y * under.height / map.height) * under.width +
                             static_cast<size_t>(x * under.width / map.width));
        grey = (under.pixels.at(at) + under.pixels.at(at + 1) + under.pixels.at(at + 2)) / 3.0;
      }
      for (const double c : color) {
        out.pixels.push_back(static_cast<uint8_t>(std::lround(share * c + (1 - share) * grey)));
      }
    }
  }
  return out;
}

void draw_colour_bar(Canvas& canvas, const Box& box) {
  RgbImage bar{1, 256, {}};
  for (int y = 0; y < bar.height; ++y) {
    for (const double c : heat(1 - y / 255.0)) bar.pixels.push_back(static_cast<uint8_t>(c));
  }
  canvas.image(bar, box);
  canvas.frame(box, kBlack, 1.5);
  canvas.text({box.x + box.width + 10, box.y + 10}, "most", {.size = 22});
  canvas.text({box.x + box.width + 10, box.y + box.height - 10}, "0", {.size = 22});
  canvas.text({box.x - 22, box.y + box.height / 2}, "attention weight",
              {.size = 22, .align = Align::center, .color = kGrey, .turn = -90});
}

}  // namespace perceive::cli
