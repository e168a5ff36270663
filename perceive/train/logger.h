// Where the numbers of a run go.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

namespace perceive::train {

// Nothing here throws for what the disk does: the first failure is told to Warn, and training goes on.
class Logger {
 public:
  using Scalars = std::map<std::string, double>;
  using Warn = std::function<void(const std::string&)>;

  virtual ~Logger() = default;
  // `step` counts optimizer steps. NaN and infinities are written as such.
  virtual void log_scalars(int64_t step, const Scalars& scalars) = 0;
  virtual void log_text(int64_t step, const std::string& tag, std::string_view text) {}
  // A PNG file's bytes, of an image of that many pixels.
  virtual void log_image(int64_t step, const std::string& tag, std::string_view png, int64_t width, int64_t height) {}
  // All that was logged reaches the file system, if not the disk.
  virtual void flush() {}
};

}  // namespace perceive::train
