// A picture to draw on and save as PNG: text, lines, rectangles and images, on Cairo.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace perceive::cli {

struct Color {
  double red = 0, green = 0, blue = 0, alpha = 1;  // 0 … 1
};

// The palette of Okabe and Ito (2008), told apart with every kind of colour blindness.
inline constexpr Color kBlack{0, 0, 0}, kWhite{1, 1, 1}, kGrey{0.45, 0.45, 0.45}, kPale{0.88, 0.88, 0.88};
inline constexpr Color kBlue{0, 0.447, 0.698}, kVermilion{0.835, 0.369, 0}, kGreen{0, 0.619, 0.451};

// In pixels, from the upper left corner.
struct Point {
  double x = 0, y = 0;
};
struct Box {
  double x = 0, y = 0, width = 0, height = 0;
};

struct RgbImage {
  int width = 0, height = 0;
  std::vector<uint8_t> pixels;  // [height, width, 3]
};

enum class Align { left, center, right };

struct TextStyle {
  double size = 22;
  Align align = Align::left;
  Color color = kBlack;
  bool bold = false;
  double turn = 0;  // degrees, clockwise, about the point given
};

class Canvas {
 public:
  Canvas(int width, int height);  // white
  ~Canvas();

  void fill(const Box& box, const Color& color);
  void frame(const Box& box, const Color& color, double line_width);
  void line(const std::vector<Point>& points, const Color& color, double line_width);
  void dot(const Point& center, double radius, const Color& color);
  // The point is the middle of the text's height, and its left end, middle or right end by `align`.
  void text(const Point& point, std::string_view words, const TextStyle& style = {});
  double text_width(std::string_view words, const TextStyle& style = {}) const;
  // As `text`, ended by "…" where the words are wider than `width`.
  void text_within(double width, const Point& point, std::string words, const TextStyle& style = {});
  // Fills the box; pixels stay sharp.
  void image(const RgbImage& image, const Box& box);

  // Throws core::Error naming the file and the reason.
  void save(const std::filesystem::path& png) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace perceive::cli
