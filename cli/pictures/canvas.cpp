// A picture to draw on and save as PNG, on Cairo.
#include "cli/pictures/canvas.h"

#include <cairo.h>
#include <fmt/format.h>

#include <numbers>

#include "perceive/core/error.h"

namespace perceive::cli {

struct Canvas::State {
  std::unique_ptr<cairo_surface_t, decltype(&cairo_surface_destroy)> surface{nullptr, cairo_surface_destroy};
  std::unique_ptr<cairo_t, decltype(&cairo_destroy)> cairo{nullptr, cairo_destroy};

  void color(const Color& color) {
    cairo_set_source_rgba(cairo.get(), color.red, color.green, color.blue, color.alpha);
  }
  void font(const TextStyle& style) {
    cairo_select_font_face(cairo.get(), "DejaVu Sans", CAIRO_FONT_SLANT_NORMAL,
                           style.bold ? CAIRO_FONT_WEIGHT_BOLD : CAIRO_FONT_WEIGHT_NORMAL);
    cairo_set_font_size(cairo.get(), style.size);
  }
};

Canvas::Canvas(int width, int height) : state_(std::make_unique<State>()) {
  state_->surface.reset(cairo_image_surface_create(CAIRO_FORMAT_RGB24, width, height));
  state_->cairo.reset(cairo_create(state_->surface.get()));
  const auto status = cairo_status(state_->cairo.get());
  if (status != CAIRO_STATUS_SUCCESS) {
    throw core::Error(core::ExitCode::failure,
                      fmt::format("picture of {} x {} pixels: {}", width, height, cairo_status_to_string(status)));
  }
  fill({0, 0, static_cast<double>(width), static_cast<double>(height)}, kWhite);
}

Canvas::~Canvas() = default;

void Canvas::fill(const Box& box, const Color& color) {
  state_->color(color);
  cairo_rectangle(state_->cairo.get(), box.x, box.y, box.width, box.height);
  cairo_fill(state_->cairo.get());
}

void Canvas::frame(const Box& box, const Color& color, double line_width) {
  state_->color(color);
  cairo_set_line_width(state_->cairo.get(), line_width);
  cairo_rectangle(state_->cairo.get(), box.x, box.y, box.width, box.height);
  cairo_stroke(state_->cairo.get());
}

void Canvas::line(const std::vector<Point>& points, const Color& color, double line_width) {
  state_->color(color);
  cairo_set_line_width(state_->cairo.get(), line_width);
  cairo_set_line_join(state_->cairo.get(), CAIRO_LINE_JOIN_ROUND);
  cairo_new_path(state_->cairo.get());
  for (const auto& point : points) cairo_line_to(state_->cairo.get(), point.x, point.y);
  cairo_stroke(state_->cairo.get());
}

void Canvas::dot(const Point& center, double radius, const Color& color) {
  state_->color(color);
  cairo_new_path(state_->cairo.get());
  cairo_arc(state_->cairo.get(), center.x, center.y, radius, 0, 2 * std::numbers::pi);
  cairo_fill(state_->cairo.get());
}

double Canvas::text_width(std::string_view words, const TextStyle& style) const {
  state_->font(style);
  cairo_text_extents_t extents;
  cairo_text_extents(state_->cairo.get(), std::string(words).c_str(), &extents);
  return extents.x_advance;
}

void Canvas::text(const Point& point, std::string_view words, const TextStyle& style) {
  const double width = text_width(words, style);
  cairo_font_extents_t font;
  cairo_font_extents(state_->cairo.get(), &font);
  auto* cairo = state_->cairo.get();
  cairo_save(cairo);
  cairo_translate(cairo, point.x, point.y);
  cairo_rotate(cairo, style.turn * std::numbers::pi / 180);
  const double left = style.align == Align::left ? 0 : style.align == Align::center ? -width / 2 : -width;
  cairo_move_to(cairo, left, (font.ascent - font.descent) / 2);
  state_->color(style.color);
  cairo_show_text(cairo, std::string(words).c_str());
  cairo_restore(cairo);
}

void Canvas::text_within(double width, const Point& point, std::string words, const TextStyle& style) {
  if (text_width(words, style) > width) {
    do {
      while (words.size() > 1 && (words.back() & 0xC0) == 0x80) words.pop_back();
      words.pop_back();
    } while (!words.empty() && text_width(words + "…", style) > width);
    words += "…";
  }
  text(point, words, style);
}

void Canvas::image(const RgbImage& image, const Box& box) {
  if (image.width <= 0 || image.height <= 0) return;
  using Surface = std::unique_ptr<cairo_surface_t, decltype(&cairo_surface_destroy)>;
  const Surface source(cairo_image_surface_create(CAIRO_FORMAT_RGB24, image.width, image.height),
                       cairo_surface_destroy);
  cairo_surface_flush(source.get());
  auto* bytes = cairo_image_surface_get_data(source.get());
  const int stride = cairo_image_surface_get_stride(source.get());
  for (int y = 0; y < image.height; ++y) {
    auto* row = reinterpret_cast<uint32_t*>(bytes + static_cast<ptrdiff_t>(y) * stride);
    for (int x = 0; x < image.width; ++x) {
      const auto* rgb = &image.pixels.at(3 * (static_cast<size_t>(y) * image.width + x));
      row[x] = static_cast<uint32_t>(rgb[0]) << 16 | static_cast<uint32_t>(rgb[1]) << 8 | rgb[2];
    }
  }
  cairo_surface_mark_dirty(source.get());
  auto* cairo = state_->cairo.get();
  cairo_save(cairo);
  cairo_translate(cairo, box.x, box.y);
  cairo_scale(cairo, box.width / image.width, box.height / image.height);
  cairo_set_source_surface(cairo, source.get(), 0, 0);
  cairo_pattern_set_filter(cairo_get_source(cairo), CAIRO_FILTER_NEAREST);
  cairo_rectangle(cairo, 0, 0, image.width, image.height);
  cairo_fill(cairo);
  cairo_restore(cairo);
}

void Canvas::save(const std::filesystem::path& png) const {
  auto status = cairo_status(state_->cairo.get());
  if (status == CAIRO_STATUS_SUCCESS) status = cairo_surface_write_to_png(state_->surface.get(), png.c_str());
  if (status != CAIRO_STATUS_SUCCESS) {
    throw core::Error(core::ExitCode::failure,
                      fmt::format("cannot write the picture {}: {}", png.string(), cairo_status_to_string(status)));
  }
}

}  // namespace perceive::cli
