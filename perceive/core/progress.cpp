// How far long work has come, on stderr: one line that is redrawn on a terminal, a plain line now and then elsewhere.
#include "perceive/core/progress.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "perceive/core/terminal.h"

namespace perceive::core {
namespace {

constexpr double kSmoothing = 0.3;  // weight of the newest rate
constexpr int kShortestBar = 7, kLongestBar = 32;

// "0:07", "1:02:03", "3d 04:05"
std::string duration(double seconds) {
  constexpr double kLongest = 1000.0 * 24 * 3600;
  if (!(seconds < kLongest)) return "over 1000 days";
  const auto whole = static_cast<int64_t>(std::max(seconds, 0.0));
  const int64_t days = whole / 86400, hours = whole / 3600 % 24, minutes = whole / 60 % 60;
  if (days > 0) return fmt::format("{}d {:02}:{:02}", days, hours, minutes);
  if (hours > 0) return fmt::format("{}:{:02}:{:02}", hours, minutes, whole % 60);
  return fmt::format("{}:{:02}", minutes, whole % 60);
}

// As many code points of `text` as fit into `width`.
std::string cut(const std::string& text, int width) {
  int points = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool starts_a_point = (static_cast<unsigned char>(text[i]) & 0xC0) != 0x80;
    if (starts_a_point && ++points > width) return text.substr(0, i);
  }
  return text;
}

std::string bar(double fraction, int width) {
  const int inside = width - 2;
  const int full = static_cast<int>(fraction * inside);
  std::string text(static_cast<size_t>(inside), ' ');
  std::fill_n(text.begin(), full, '=');
  if (full < inside) text[static_cast<size_t>(full)] = '>';
  return "[" + text + "]";
}

}  // namespace

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

Progress::Progress(std::string title, int64_t total, const ProgressOptions& options, int64_t done)
    : title_(std::move(title)),
      total_(total),
      first_(done),
      done_(done),
      options_(options),
      terminal_(options.enabled && is_terminal(options.fd)),
      start_(options.now()),
      drawn_at_(start_),
      drawn_done_(done) {
  if (terminal_) draw();
}

Progress::~Progress() {
  finish();
}

void Progress::set(const std::string& name, double value) {
  for (auto& [known, shown] : values_) {
    if (known == name) {
      shown = value;
      return;
    }
  }
  values_.emplace_back(name, value);
}

void Progress::advance(int64_t steps) {
  done_ += steps;
  if (!options_.enabled) return;
  const double since = options_.now() - drawn_at_;
  const bool enough_steps = options_.line_steps > 0 && done_ - drawn_done_ >= options_.line_steps;
  if (terminal_ ? since >= options_.redraw_seconds : since >= options_.line_seconds || enough_steps) draw();
}

void Progress::draw() {
  const double now = options_.now();
  const double since = now - drawn_at_;
  if (since > 0) {
    const double newest = static_cast<double>(done_ - drawn_done_) / since;
    rate_ = rate_ > 0 ? rate_ + kSmoothing * (newest - rate_) : newest;
  }
  drawn_at_ = now;
  drawn_done_ = done_;
  // The last column stays free: a terminal may wrap the line when it is written to.
  options_.enabled = terminal_ ? write_status(options_.fd, text(std::max(1, columns(options_.fd) - 1), false))
                               : write_line(options_.fd, text(0, false));
}

void Progress::finish() {
  if (!options_.enabled) return;
  options_.enabled = false;
  if (terminal_) write_status(options_.fd, "");
  write_line(options_.fd, text(0, true));
}

// With a bar and no longer than `width`, or plain where that is 0.
std::string Progress::text(int width, bool finished) const {
  const double elapsed = options_.now() - start_;
  const double rate = finished && elapsed > 0 ? static_cast<double>(done_ - first_) / elapsed : rate_;
  const double fraction =
      total_ > 0 ? std::clamp(static_cast<double>(done_) / static_cast<double>(total_), 0.0, 1.0) : 0;
  const std::string head = title_ + ":" + (total_ > 0 ? fmt::format(" {:3.0f}%", std::floor(100 * fraction)) : "");
  std::string tail = total_ > 0 ? fmt::format("{}/{}", done_, total_) : fmt::format("{}", done_);
  if (rate > 0) tail += fmt::format(", {:.3g}/s", rate);
  if (finished) {
    tail += ", " + duration(elapsed);
  } else if (total_ > 0 && rate > 0) {
    tail += ", " + duration(static_cast<double>(total_ - done_) / rate) + " left";
  }
  for (const auto& [name, value] : values_) tail += fmt::format(", {}={:.4g}", name, value);

  const int room = width - static_cast<int>(head.size() + tail.size()) - 2;
  const bool with_bar = total_ > 0 && room >= kShortestBar;
  const std::string line = head + " " + (with_bar ? bar(fraction, std::min(room, kLongestBar)) + " " : "") + tail;
  return width > 0 ? cut(line, width) : line;
}

}  // namespace perceive::core
