// Heat maps over images.
#include "cli/pictures/attention.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace perceive::cli {
namespace {

constexpr double kImage = 168, kGap = 22, kCaption = 250, kMargin = 24, kHeading = 70, kTitles = 44, kBar = 150;
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

RgbImage overlay(const RgbImage& image, const HeatMap& map) {
  RgbImage out{map.width, map.height, {}};
  const float most = map.weights.empty() ? 0 : *std::max_element(map.weights.begin(), map.weights.end());
  out.pixels.reserve(3 * map.weights.size());
  for (int y = 0; y < map.height; ++y) {
    for (int x = 0; x < map.width; ++x) {
      const auto weight = map.weights.at(static_cast<size_t>(y) * map.width + x);
      const auto color = heat(most > 0 ? weight / most : 0);
      double grey = 0;
      if (image.width > 0 && image.height > 0) {
        const auto at = 3 * (static_cast<size_t>(y * image.height / map.height) * image.width +
                             static_cast<size_t>(x * image.width / map.width));
        grey = (image.pixels.at(at) + image.pixels.at(at + 1) + image.pixels.at(at + 2)) / 3.0;
      }
      for (const double c : color) {
        out.pixels.push_back(static_cast<uint8_t>(std::lround(kHeatShare * c + (1 - kHeatShare) * grey)));
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

}  // namespace

void draw_attention(const std::string& heading, const std::vector<std::string>& columns,
                    const std::vector<AttentionRow>& rows, const std::filesystem::path& png) {
  const double cell = kImage + kGap, top = kHeading + kTitles;
  const double width = 2 * kMargin + kCaption + cell * static_cast<double>(1 + columns.size()) + kBar;
  const double height = top + cell * static_cast<double>(std::max<size_t>(rows.size(), 1)) + kMargin;
  Canvas canvas(static_cast<int>(width), static_cast<int>(height));
  canvas.text_within(width - 2 * kMargin, {kMargin, 36}, heading, {.size = 26, .bold = true});
  const double first = kMargin + kCaption;
  const TextStyle title{.size = 20, .align = Align::center};
  canvas.text({first + kImage / 2, kHeading + 20}, "image", title);
  for (size_t c = 0; c < columns.size(); ++c) {
    canvas.text_within(cell - 6, {first + cell * static_cast<double>(c + 1) + kImage / 2, kHeading + 20}, columns[c],
                       title);
  }
  for (size_t r = 0; r < rows.size(); ++r) {
    const double y = top + cell * static_cast<double>(r);
    double line =
        y + kImage / 2 - 15 * static_cast<double>(std::count(rows[r].caption.begin(), rows[r].caption.end(), '\n'));
    for (size_t start = 0; start <= rows[r].caption.size(); line += 30) {
      const auto end = std::min(rows[r].caption.find('\n', start), rows[r].caption.size());
      canvas.text_within(kCaption - 16, {kMargin, line}, rows[r].caption.substr(start, end - start), {.size = 22});
      start = end + 1;
    }
    canvas.image(rows[r].image, {first, y, kImage, kImage});
    for (size_t c = 0; c < rows[r].maps.size(); ++c) {
      canvas.image(overlay(rows[r].image, rows[r].maps[c]),
                   {first + cell * static_cast<double>(c + 1), y, kImage, kImage});
    }
  }
  draw_colour_bar(canvas, {first + cell * static_cast<double>(1 + columns.size()) + 40, top, 26, kImage});
  canvas.save(png);
}

}  // namespace perceive::cli
