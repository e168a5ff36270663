// Heads side by side.
#include "cli/pictures/heads.h"

#include <algorithm>

namespace perceive::cli {
namespace {

constexpr double kMap = 220, kGap = 18, kCaption = 190, kMargin = 24, kHeading = 70, kTitles = 44, kBar = 170;

}  // namespace

void draw_heads(const std::string& heading, const std::vector<HeadRow>& rows, const std::filesystem::path& png) {
  size_t columns = 1;
  for (const auto& row : rows) columns = std::max(columns, row.heads.size());
  const double cell = kMap + kGap, top = kHeading + kTitles, first = kMargin + kCaption;
  const double width = first + cell * static_cast<double>(columns) + kBar;
  Canvas canvas(static_cast<int>(width),
                static_cast<int>(top + cell * static_cast<double>(std::max<size_t>(rows.size(), 1)) + kMargin));
  canvas.text_within(width - 2 * kMargin, {kMargin, 36}, heading, {.size = 26, .bold = true});
  for (size_t c = 0; c < columns; ++c) {
    canvas.text({first + cell * static_cast<double>(c) + kMap / 2, kHeading + 20}, "head " + std::to_string(c),
                {.size = 20, .align = Align::center});
  }
  for (size_t r = 0; r < rows.size(); ++r) {
    const double y = top + cell * static_cast<double>(r);
    canvas.text_within(kCaption - 16, {kMargin, y + kMap / 2}, rows[r].caption, {.size = 22});
    for (size_t c = 0; c < rows[r].heads.size(); ++c) {
      const Box box{first + cell * static_cast<double>(c), y, kMap, kMap};
      canvas.image(heat_image(rows[r].heads[c]), box);
      canvas.frame(box, kPale, 1);
    }
  }
  draw_colour_bar(canvas, {first + cell * static_cast<double>(columns) + 46, top, 26, kMap});
  canvas.save(png);
}

}  // namespace perceive::cli
