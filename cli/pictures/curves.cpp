// Learning curves, one panel a quantity.
#include "cli/pictures/curves.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <limits>
#include <map>

#include "cli/pictures/canvas.h"
#include "perceive/core/error.h"

namespace perceive::cli {
namespace {

constexpr double kPanelWidth = 620, kHeight = 560;
constexpr double kLeft = 120, kRight = 48, kTop = 110, kBottom = 90;  // margins around the axes of a panel
constexpr TextStyle kTickText{.size = 22};
constexpr Color kColors[] = {kBlue, kVermilion, kGreen, kBlack};

struct Range {
  double low = std::numeric_limits<double>::infinity(), high = -std::numeric_limits<double>::infinity();
  void take(double value) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
  bool empty() const { return low > high; }
  // From the tick below to the tick above; never of zero width.
  Range rounded(int ticks) const {
    Range wide = *this;
    if (wide.high - wide.low < 1e-12 * std::max(1.0, std::abs(wide.high))) {
      const double room = wide.high == 0 ? 1 : 0.1 * std::abs(wide.high);
      wide = {wide.low - room, wide.high + room};
    }
    const auto at = round_ticks(wide.low, wide.high, ticks);
    return {at.front(), at.back()};
  }
};

std::vector<std::string> cells_of(const std::string& line) {
  std::vector<std::string> cells(1);
  for (const char c : line) {
    if (c == ',') {
      cells.emplace_back();
    } else if (c != '\r') {
      cells.back() += c;
    }
  }
  return cells;
}

// As many digits as tell two neighbouring ticks apart.
std::string tick_label(double value, double step, double most) {
  if (value == 0) return "0";
  if (step < 1e-4 || most >= 1e12) return fmt::format("{:g}", value);
  if (most >= 1e6) return fmt::format("{:g}M", value / 1e6);
  if (most >= 1e4) return fmt::format("{:g}k", value / 1e3);
  return fmt::format("{:.{}f}", value, std::max(0, static_cast<int>(-std::floor(std::log10(step) + 1e-9))));
}

std::string title_of(const std::string& metric) {
  if (metric == "loss") return "Loss";
  if (metric == "acc") return "Accuracy";
  return metric;
}

// In the coordinates of the axes.
std::vector<Point> points_of(const Series& series, bool log_x) {
  std::vector<Point> points;
  for (size_t i = 0; i < std::min(series.x.size(), series.y.size()); ++i) {
    const double x = log_x ? std::log10(series.x[i]) : series.x[i];
    if (std::isfinite(x) && std::isfinite(series.y[i])) points.push_back({x, series.y[i]});
  }
  return points;
}

// Rounding a range that is rounded already may take a coarser step, whose first tick lies outside.
std::vector<double> ticks_within(const Range& range, int count) {
  auto ticks = round_ticks(range.low, range.high, count);
  const double slack = 1e-9 * (range.high - range.low);
  std::erase_if(ticks, [&](double tick) { return tick < range.low - slack || tick > range.high + slack; });
  return ticks;
}

void draw_axes(Canvas& canvas, const Panel& panel, const Box& axes, const Range& xs, const Range& ys) {
  auto at = ticks_within(ys, 6);
  double step = at.size() > 1 ? at[1] - at[0] : ys.high - ys.low;
  for (const double y : at) {
    const double pixel = axes.y + axes.height * (ys.high - y) / (ys.high - ys.low);
    canvas.line({{axes.x, pixel}, {axes.x + axes.width, pixel}}, kPale, 1.5);
    auto style = kTickText;
    style.align = Align::right;
    canvas.text({axes.x - 12, pixel}, tick_label(y, step, std::max(-ys.low, ys.high)), style);
  }
  at = ticks_within(xs, 5);
  step = at.size() > 1 ? at[1] - at[0] : xs.high - xs.low;
  for (const double x : at) {
    const double pixel = axes.x + axes.width * (x - xs.low) / (xs.high - xs.low);
    canvas.line({{pixel, axes.y + axes.height}, {pixel, axes.y + axes.height + 8}}, kBlack, 2);
    auto style = kTickText;
    style.align = Align::center;
    canvas.text({pixel, axes.y + axes.height + 26},
                panel.log_x ? fmt::format("{:g}", std::pow(10, x)) : tick_label(x, step, xs.high), style);
  }
  canvas.line({{axes.x, axes.y}, {axes.x, axes.y + axes.height}, {axes.x + axes.width, axes.y + axes.height}}, kBlack,
              2);
  canvas.text({axes.x + axes.width / 2, axes.y + axes.height + 64}, panel.x_label,
              {.size = 24, .align = Align::center, .color = kGrey});
}

void draw_panel(Canvas& canvas, const Panel& panel, const Box& box) {
  canvas.text({box.x + kLeft, box.y + 34}, panel.title, {.size = 28, .bold = true});
  const Box axes{box.x + kLeft, box.y + kTop, box.width - kLeft - kRight, box.height - kTop - kBottom};
  Range xs, ys;
  for (const auto& series : panel.series) {
    for (const auto& point : points_of(series, panel.log_x)) xs.take(point.x), ys.take(point.y);
  }
  if (xs.empty()) {
    canvas.frame(axes, kPale, 2);
    canvas.text({axes.x + axes.width / 2, axes.y + axes.height / 2}, "nothing logged",
                {.size = 24, .align = Align::center, .color = kGrey});
    return;
  }
  if (!panel.log_x) xs.take(0);
  xs = xs.rounded(5);
  ys = ys.rounded(6);
  draw_axes(canvas, panel, axes, xs, ys);
  double legend = axes.x;
  for (size_t i = 0; i < panel.series.size(); ++i) {
    const auto& series = panel.series[i];
    const auto& color = kColors[i % std::size(kColors)];
    auto points = points_of(series, panel.log_x);
    for (auto& point : points) {
      point = {axes.x + axes.width * (point.x - xs.low) / (xs.high - xs.low),
               axes.y + axes.height * (ys.high - point.y) / (ys.high - ys.low)};
    }
    canvas.line(points, color, series.markers ? 3.5 : 2.5);
    if (series.markers || points.size() == 1) {
      for (const auto& point : points) canvas.dot(point, 6, color);
    }
    canvas.line({{legend, box.y + 76}, {legend + 34, box.y + 76}}, color, 4);
    if (series.markers) canvas.dot({legend + 17, box.y + 76}, 6, color);
    canvas.text({legend + 44, box.y + 76}, series.name, {.size = 24});
    legend += 44 + canvas.text_width(series.name, {.size = 24}) + 30;
  }
}

}  // namespace

std::vector<double> round_ticks(double low, double high, int count) {
  const double rough = std::max((high - low) / std::max(count, 1), std::numeric_limits<double>::min());
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  double step = 10 * power;
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= rough * (1 - 1e-9)) {
      step = factor * power;
      break;
    }
  }
  std::vector<double> ticks;
  const double first = std::floor(low / step + 1e-9), last = std::ceil(high / step - 1e-9);
  for (double i = first; i <= last && ticks.size() < 100; ++i) ticks.push_back(i * step);
  return ticks;
}

std::vector<Panel> panels_of(const std::filesystem::path& metrics_csv) {
  std::ifstream file(metrics_csv);
  std::string line;
  if (!std::getline(file, line)) {
    throw core::Error(core::ExitCode::failure, fmt::format("cannot read the metrics in {}", metrics_csv.string()));
  }
  const auto names = cells_of(line);
  std::map<std::string, Series> columns;
  const auto step_at = std::find(names.begin(), names.end(), "step") - names.begin();
  while (std::getline(file, line)) {
    const auto cells = cells_of(line);
    const auto number = [&](size_t i) {
      double value = std::numeric_limits<double>::quiet_NaN();
      if (i < cells.size()) std::from_chars(cells[i].data(), cells[i].data() + cells[i].size(), value);
      return value;
    };
    for (size_t i = 0; i < std::min(names.size(), cells.size()); ++i) {
      if (cells[i].empty()) continue;
      columns[names[i]].x.push_back(number(static_cast<size_t>(step_at)));
      columns[names[i]].y.push_back(number(i));
    }
  }

  std::vector<Panel> panels{{.title = "Loss"}, {.title = "Accuracy"}};
  const auto panel = [&](const std::string& title) -> Panel& {
    for (auto& known : panels) {
      if (known.title == title) return known;
    }
    return panels.emplace_back(Panel{.title = title});
  };
  for (const auto& [prefix, name] : {std::pair{"train_", "train"}, std::pair{"val_", "validation"}}) {
    for (auto& [column, series] : columns) {
      if (!column.starts_with(prefix)) continue;
      series.name = name;
      series.markers = name == std::string("validation");
      panel(title_of(column.substr(std::string(prefix).size()))).series.push_back(series);
    }
  }
  std::erase_if(panels, [](const Panel& empty) { return empty.title == "Accuracy" && empty.series.empty(); });
  for (auto& [column, series] : columns) {
    if (!column.starts_with("lr-")) continue;
    series.name = column.substr(3);
    panel("Learning rate").series.push_back(series);
  }
  return panels;
}

void draw_curves(const std::vector<Panel>& panels, const std::filesystem::path& png) {
  const auto count = std::max<size_t>(panels.size(), 1);
  Canvas canvas(static_cast<int>(kPanelWidth * static_cast<double>(count)), static_cast<int>(kHeight));
  for (size_t i = 0; i < panels.size(); ++i) {
    draw_panel(canvas, panels[i], {kPanelWidth * static_cast<double>(i), 0, kPanelWidth, kHeight});
  }
  canvas.save(png);
}

}  // namespace perceive::cli
