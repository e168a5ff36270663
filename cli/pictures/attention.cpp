// Heat maps over images.
#include "cli/pictures/attention.h"

#include <algorithm>

namespace perceive::cli {
namespace {

constexpr double kImage = 168, kGap = 22, kCaption = 250, kMargin = 24, kHeading = 70, kTitles = 44, kBar = 150;

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
      canvas.image(heat_image(rows[r].maps[c], rows[r].image),
                   {first + cell * static_cast<double>(c + 1), y, kImage, kImage});
    }
  }
  draw_colour_bar(canvas, {first + cell * static_cast<double>(1 + columns.size()) + 40, top, 26, kImage});
  canvas.save(png);
}

}  // namespace perceive::cli
