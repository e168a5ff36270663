// Bursts of the peak loops on all threads.
#include "cli/bench/machine.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <functional>

#include "perceive/core/memory.h"
#include "perceive/core/progress.h"
#include "perceive/kernels/peak.h"

namespace perceive::cli::bench {
namespace {

constexpr int kBursts = 15;
constexpr double kBurstSeconds = 0.01;
constexpr int64_t kFirstRounds = 1000;
constexpr double kLongestBuffer = 256e6;  // bytes: more than the caches hold
constexpr double kShareOfMemory = 0.25;
constexpr double kApart = 0.03;

// Seconds that `work` takes when every thread does it.
double burst(const std::function<float(int64_t thread)>& work) {
  std::atomic<float> sum = 0;  // the loops' results are used
  const double begin = core::seconds_now();
  at::parallel_for(0, at::get_num_threads(), 1, [&](int64_t first, int64_t end) {
    for (int64_t thread = first; thread < end; ++thread) sum = sum + work(thread);
  });
  return core::seconds_now() - begin;
}

double best_burst(const std::function<float(int64_t thread)>& work) {
  double best = burst(work);
  for (int i = 1; i < kBursts; ++i) best = std::min(best, burst(work));
  return best;
}

double bytes_a_second(const kernels::PeakLoops& loops) {
  const double bytes = std::min(kLongestBuffer, kShareOfMemory * core::available_memory());
  const int64_t share = static_cast<int64_t>(bytes / sizeof(float)) / at::get_num_threads();
  const auto buffer = at::ones({at::get_num_threads(), share}, at::kFloat);
  const float* const data = buffer.const_data_ptr<float>();
  const double seconds = best_burst([&](int64_t thread) { return loops.read(data + thread * share, share); });
  return static_cast<double>(buffer.nbytes()) / seconds;
}

}  // namespace

Machine measure_machine() {
  const Peak peak;
  Machine machine;
  for (int i = 0; i < kBursts; ++i) machine.flops = std::max(machine.flops, peak.flops());
  machine.bytes = bytes_a_second(kernels::peak_loops());
  return machine;
}

Peak::Peak() : rounds_(kFirstRounds) {
  const auto work = [&](int64_t) { return kernels::peak_loops().multiply_add(rounds_); };
  while (burst(work) < kBurstSeconds) rounds_ *= 2;
}

double Peak::flops() const {
  const auto& loops = kernels::peak_loops();
  const double seconds = burst([&](int64_t) { return loops.multiply_add(rounds_); });
  return static_cast<double>(at::get_num_threads() * rounds_ * loops.flops_a_round) / seconds;
}

std::string disagreement(const Machine& before, const Machine& after) {
  const double apart = std::abs(after.flops - before.flops) / std::max(after.flops, before.flops);
  if (apart <= kApart) return "";
  return fmt::format(
      "the peak was {:.0f} GFLOP/s before and {:.0f} after, {:.0f} % apart: the clock or other work on this machine "
      "changed meanwhile, so measure again",
      before.flops * 1e-9, after.flops * 1e-9, 100 * apart);
}

}  // namespace perceive::cli::bench
