// A pipe or a terminal of its own, to see what is written to it.
#pragma once

#include <fcntl.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>
#include <optional>
#include <string>

namespace perceive::example {

class CapturedOutput {
 public:
  enum class Kind { pipe, terminal };
  explicit CapturedOutput(Kind kind, unsigned short columns = 60) {
    int ends[2];
    if (kind == Kind::pipe) {
      if (pipe(ends) != 0) std::abort();
    } else {
      winsize size{.ws_row = 24, .ws_col = columns, .ws_xpixel = 0, .ws_ypixel = 0};
      if (openpty(&ends[0], &ends[1], nullptr, nullptr, &size) != 0) std::abort();
    }
    read_end_ = ends[0];
    fd = ends[1];
    fcntl(read_end_, F_SETFL, O_NONBLOCK);
  }
  ~CapturedOutput() {
    close_reader();
    close(fd);
  }
  CapturedOutput(const CapturedOutput&) = delete;
  CapturedOutput& operator=(const CapturedOutput&) = delete;

  // What was written since the last call; a terminal's line ends as "\n".
  std::string take() {
    std::string text;
    char buffer[4096];
    for (ssize_t count; (count = read(read_end_, buffer, sizeof(buffer))) > 0;) {
      for (ssize_t i = 0; i < count; ++i) {
        if (buffer[i] == '\n' && text.ends_with('\r')) text.pop_back();
        text += buffer[i];
      }
    }
    return text;
  }
  void close_reader() {
    if (read_end_ >= 0) close(read_end_);
    read_end_ = -1;
  }

  int fd = -1;

 private:
  int read_end_ = -1;
};

// Sets or unsets an environment variable for as long as it lives.
class Environment {
 public:
  Environment(const char* name, const char* value) : name_(name) {
    if (const char* before = std::getenv(name)) before_ = before;
    set(value);
  }
  ~Environment() { set(before_ ? before_->c_str() : nullptr); }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

 private:
  void set(const char* value) const {
    if (value) {
      setenv(name_, value, 1);
    } else {
      unsetenv(name_);
    }
  }
  const char* name_;
  std::optional<std::string> before_;
};

}  // namespace perceive::example
