// A grid of images with predicted and true names.
#include "cli/pictures/samples.h"

#include <fmt/format.h>

#include <algorithm>

namespace perceive::cli {
namespace {

constexpr int kColumns = 6;
constexpr double kImage = 168, kCellWidth = 210, kCellHeight = 264, kMargin = 24, kHeading = 96;

}  // namespace

void draw_samples(const std::string& heading, const std::vector<Sample>& samples, const std::filesystem::path& png) {
  const int count = static_cast<int>(samples.size()), rows = std::max(1, (count + kColumns - 1) / kColumns);
  const double width = 2 * kMargin + kColumns * kCellWidth;
  Canvas canvas(static_cast<int>(width), static_cast<int>(kHeading + rows * kCellHeight + kMargin));
  canvas.text_within(width - 2 * kMargin, {kMargin, 32}, heading, {.size = 26, .bold = true});
  canvas.text({kMargin, 68}, "✓ right", {.size = 22, .color = kBlue});
  canvas.text({kMargin + 130, 68}, "✗ wrong (true name)", {.size = 22, .color = kVermilion, .bold = true});
  for (int i = 0; i < count; ++i) {
    const auto& sample = samples[static_cast<size_t>(i)];
    const bool right = sample.predicted == sample.truth;
    const double x = kMargin + (i % kColumns) * kCellWidth, y = kHeading + (i / kColumns) * kCellHeight;
    const Box box{x + (kCellWidth - kImage) / 2, y, kImage, kImage};
    canvas.image(sample.image, box);
    const double frame = right ? 2 : 8;
    canvas.frame({box.x - frame / 2, box.y - frame / 2, box.width + frame, box.height + frame},
                 right ? kPale : kVermilion, frame);
    const double middle = x + kCellWidth / 2, room = kCellWidth - 8;
    canvas.text_within(room, {middle, y + kImage + 26}, (right ? "✓ " : "✗ ") + sample.predicted,
                       {.size = 22, .align = Align::center, .color = right ? kBlue : kVermilion, .bold = !right});
    const auto percent = fmt::format("{:.0f} %", 100 * sample.probability);
    canvas.text_within(room, {middle, y + kImage + 54}, right ? percent : fmt::format("{} ({})", percent, sample.truth),
                       {.size = 20, .align = Align::center});
  }
  canvas.save(png);
}

}  // namespace perceive::cli
