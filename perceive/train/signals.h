// SIGINT, SIGTERM and SIGUSR1 as a request to stop at the next good moment.
#pragma once

#include <signal.h>

#include <array>

namespace perceive::train {

// While one lives, the first of these signals only sets a flag; a second SIGINT ends the process at once with exit code
// 130. A signal that was ignored before (as SIGINT under nohup) stays ignored. One at a time.
class StopSignals {
 public:
  StopSignals();
  ~StopSignals();  // puts back the handlers that were there
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  // The first signal that came, or 0.
  int received() const;

 private:
  static constexpr std::array kSignals{SIGINT, SIGTERM, SIGUSR1};
  std::array<struct sigaction, kSignals.size()> before_;
};

}  // namespace perceive::train
