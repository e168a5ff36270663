// How far long work has come, on stderr: one line that is redrawn on a terminal, a plain line now and then elsewhere.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace perceive::core {

double seconds_now();  // of a clock that never goes back

struct ProgressOptions {
  bool enabled = true;
  double redraw_seconds = 0.1;    // on a terminal, at most so often
  double line_seconds = 10;       // elsewhere, a line each time so long has passed
  int64_t line_steps = 0;         // … or so many steps; 0: by time alone
  int fd = 2;                     // where it is shown
  double (*now)() = seconds_now;  // for tests
};

// "fit 3/10:  45% [====>    ] 421/938, 37.2/s, 0:13 left, loss=0.3451". Where nobody reads any more, it stays silent.
class Progress {
 public:
  // Of `total` steps, or of unknown many (0), where `done` of them were done earlier and do not count into the rate.
  Progress(std::string title, int64_t total, const ProgressOptions& options = {}, int64_t done = 0);
  ~Progress();  // finishes
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // Shown as name=value from now on, in the order of the first calls.
  void set(const std::string& name, double value);
  void advance(int64_t steps = 1);
  // Leaves a last line with the time it took.
  void finish();

 private:
  void draw();
  std::string text(int width, bool finished) const;

  std::string title_;
  int64_t total_, first_, done_;
  ProgressOptions options_;
  bool terminal_;
  std::vector<std::pair<std::string, double>> values_;
  double start_;        // when it began
  double drawn_at_;     // when it was last drawn,
  int64_t drawn_done_;  // and what was done then
  double rate_ = 0;     // steps a second, smoothed over the drawings
};

}  // namespace perceive::core
