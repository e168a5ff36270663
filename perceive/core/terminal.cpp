// Writing to a terminal, or to what stands in for one, from several places at once.
#include "perceive/core/terminal.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <mutex>

namespace perceive::core {
namespace {

struct Status {
  std::mutex mutex;
  int fd = -1;
  std::string text;
};
// Never destroyed: other static objects may still log while the program ends.
Status& status() {
  static Status& instance = *new Status;
  return instance;
}

constexpr char kToStart[] = "\r";
constexpr char kClearToEnd[] = "\x1b[K";

// Holds back the SIGPIPE of this thread's writes, without touching what the program does with others.
class PipeSignalHeldBack {
 public:
  PipeSignalHeldBack() {
    sigset_t pending;
    sigpending(&pending);
    was_pending_ = sigismember(&pending, SIGPIPE) == 1;
    sigemptyset(&pipe_);
    sigaddset(&pipe_, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
  }
  ~PipeSignalHeldBack() {
    const timespec at_once{};
    if (!was_pending_) sigtimedwait(&pipe_, nullptr, &at_once);
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  PipeSignalHeldBack(const PipeSignalHeldBack&) = delete;
  PipeSignalHeldBack& operator=(const PipeSignalHeldBack&) = delete;

 private:
  sigset_t pipe_, before_;
  bool was_pending_ = false;
};

}  // namespace

bool is_terminal(int fd) {
  const char* term = std::getenv("TERM");
  return isatty(fd) && term && *term && std::string_view(term) != "dumb";
}

bool has_colour(int fd) {
  const char* no_colour = std::getenv("NO_COLOR");
  return is_terminal(fd) && !(no_colour && *no_colour);
}

int columns(int fd) {
  winsize size{};
  return ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

bool write_all(int fd, std::string_view text) {
  const PipeSignalHeldBack held_back;
  while (!text.empty()) {
    const ssize_t written = write(fd, text.data(), text.size());
    if (written > 0) {
      text.remove_prefix(static_cast<size_t>(written));
    } else if (written < 0 && errno == EAGAIN) {
      pollfd writable{fd, POLLOUT, 0};
      poll(&writable, 1, 1000);
    } else if (written == 0 || errno != EINTR) {
      return false;
    }
  }
  return true;
}

bool write_line(int fd, std::string_view text) {
  Status& shown = status();
  const std::lock_guard lock(shown.mutex);
  std::string out = std::string(text) + "\n";
  if (shown.fd == fd && !shown.text.empty()) out = std::string(kToStart) + kClearToEnd + out + shown.text;
  return write_all(fd, out);
}

bool write_status(int fd, std::string_view text) {
  Status& shown = status();
  const std::lock_guard lock(shown.mutex);
  if (text.empty() && shown.text.empty()) return true;
  shown.fd = fd;
  shown.text = text;
  return write_all(fd, kToStart + shown.text + kClearToEnd);
}

}  // namespace perceive::core
