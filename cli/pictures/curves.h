// Curves as pictures: what a run logged, over its steps (curves.png), and what a search found.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace perceive::cli {

struct Series {
  std::string name;          // in the legend
  std::vector<double> x, y;  // of one length; points that are not finite are left out
  bool markers = false;      // few points that stand alone, such as one an epoch
};

struct Panel {
  std::string title;
  std::vector<Series> series;
  std::string x_label = "step";
  bool log_x = false;  // x above 0 on a logarithmic axis; else the axis begins at 0
};

// The panels of a metrics.csv: loss, accuracy and whatever else was logged as train_… and val_… over `step`, and the
// learning rates (`lr-…`). Throws core::Error where the file cannot be read.
std::vector<Panel> panels_of(const std::filesystem::path& metrics_csv);

// Panels side by side. A panel without a point says so.
void draw_curves(const std::vector<Panel>& panels, const std::filesystem::path& png);

// Round numbers that cover low … high, at most about `count` of them.
std::vector<double> round_ticks(double low, double high, int count);

}  // namespace perceive::cli
