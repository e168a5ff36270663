// Signal handlers that do nothing but remember.
#include "perceive/train/signals.h"

#include <unistd.h>

#include <atomic>

#include "perceive/core/error.h"

namespace perceive::train {
namespace {

std::atomic<int> first_signal = 0;
std::atomic<int> interrupts = 0;
static_assert(std::atomic<int>::is_always_lock_free, "a handler may touch nothing else");

void remember(int signal) {
  if (signal == SIGINT && interrupts.fetch_add(1) > 0) _exit(static_cast<int>(core::ExitCode::interrupted));
  int none = 0;
  first_signal.compare_exchange_strong(none, signal);
}

}  // namespace

StopSignals::StopSignals() {
  first_signal = 0;
  interrupts = 0;
  struct sigaction action {};
  action.sa_handler = remember;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  for (size_t i = 0; i < kSignals.size(); ++i) {
    sigaction(kSignals[i], nullptr, &before_[i]);
    if (before_[i].sa_handler != SIG_IGN) sigaction(kSignals[i], &action, nullptr);
  }
}

StopSignals::~StopSignals() {
  for (size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &before_[i], nullptr);
}

int StopSignals::received() const {
  return first_signal;
}

}  // namespace perceive::train
