// The curves of several runs in one picture.
#include "cli/pictures/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "cli/help.h"
#include "cli/pictures/curves.h"
#include "perceive/core/config.h"
#include "perceive/core/terminal.h"

namespace perceive::cli {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMostRuns = 4;  // that a legend's colours tell apart

struct CurvesOptions {
  std::string output = "curves.png";
  std::vector<std::string> names;
};
template <class Visitor>
void visit(CurvesOptions& o, Visitor&& field) {
  field("output", o.output, "picture to write");
  field("names", o.names, "of the runs, in the legend; default: their folders");
}

// What was found on the validation set, or in training where there is none.
const Series& telling(const Panel& panel) {
  const auto found =
      std::find_if(panel.series.begin(), panel.series.end(), [](const auto& s) { return s.name == "validation"; });
  return found == panel.series.end() ? panel.series.front() : *found;
}

}  // namespace

std::string curves_details() {
  CurvesOptions defaults;
  return "perceive curves RUN… draws what was logged of each quantity, a curve a run: on validation, or in training "
         "where "
         "there is none.\n\n" +
         options_help(core::reflect(defaults));
}

core::ExitCode draw_runs(const std::vector<std::string>& words) {
  std::vector<std::string> runs, flags;
  for (const auto& word : words) (word.starts_with("--") ? flags : runs).push_back(word);
  CurvesOptions options;
  core::assign(options, core::read_arguments(flags));
  if (runs.empty() || runs.size() > kMostRuns) {
    throw core::ConfigError(fmt::format("expected 1 to {} runs, got {}: perceive curves RUN…", kMostRuns, runs.size()));
  }
  if (!options.names.empty() && options.names.size() != runs.size()) {
    throw core::ConfigError(
        fmt::format("names: expected one for each of {} runs, got {}", runs.size(), options.names.size()));
  }
  std::vector<Panel> panels;
  for (size_t i = 0; i < runs.size(); ++i) {
    for (const auto& panel : panels_of(fs::path(runs[i]) / "metrics.csv")) {
      if (panel.series.empty()) continue;
      auto same = std::find_if(panels.begin(), panels.end(), [&](const auto& p) { return p.title == panel.title; });
      if (same == panels.end()) same = panels.insert(panels.end(), Panel{.title = panel.title});
      same->series.push_back(telling(panel));
      same->series.back().name =
          options.names.empty() ? fs::path(runs[i]).lexically_normal().string() : options.names[i];
    }
  }
  draw_curves(panels, options.output);
  core::write_all(1, options.output + "\n");
  return core::ExitCode::ok;
}

}  // namespace perceive::cli
