// Medians of calls in turns.
#include "cli/bench/measure.h"

#include <c10/util/Exception.h>
#include <malloc.h>

#include <algorithm>

#include "cli/bench/machine.h"
#include "perceive/core/memory.h"
#include "perceive/core/progress.h"

namespace perceive::cli::bench {
namespace {

constexpr size_t kRounds = 15, kFewestRounds = 3, kMostRounds = 1000;
constexpr double kShortestRow = 0.3, kLongestRow = 20;  // seconds

// `in_calls`: the seconds without those of the peak's bursts.
bool enough(size_t rounds, double seconds, double in_calls) {
  if (rounds < kFewestRounds) return false;
  return seconds > kLongestRow || rounds >= kMostRounds || (rounds >= kRounds && in_calls > kShortestRow);
}

std::string first_line(const c10::Error& error) {
  const std::string message = error.what_without_backtrace();
  return message.substr(0, message.find('\n'));
}

// Prepares and calls once; the peak of that is the contender's memory.
Call first_call(const Contender& contender, const Row& row, Measured& measured) {
  malloc_trim(0);  // what earlier calls freed would be taken again without being seen
  const bool counted = core::restart_peak_memory();
  const double before = core::resident_memory();
  const Call call = contender.prepare();
  const auto result = call();
  if (counted) measured.extra_bytes = std::max(0.0, core::peak_resident_memory() - before);
  measured.max_error = row.error(result);
  return call;
}

}  // namespace

double median(std::vector<double> of) {
  const auto middle = of.begin() + static_cast<ptrdiff_t>(of.size() / 2);
  std::nth_element(of.begin(), middle, of.end());
  if (of.size() % 2 == 1) return *middle;
  return (*middle + *std::max_element(of.begin(), middle)) / 2;
}

std::vector<Measured> measure(const Row& row) {
  struct Running {
    Call call;
    std::vector<double> seconds, shares;
  };
  std::vector<Measured> all;
  std::vector<Running> running;
  for (const auto& contender : row.contenders) {
    all.push_back({.name = contender.name, .objection = contender.objection});
    running.emplace_back();
    if (!contender.objection.empty()) continue;
    try {
      running.back().call = first_call(contender, row, all.back());
    } catch (const c10::Error& error) {
      if (all.size() == 1) throw;
      all.back().objection = first_line(error);
    }
  }
  const Peak peak;
  const double begin = core::seconds_now();
  double in_calls = 0;
  for (size_t round = 0; !enough(round, core::seconds_now() - begin, in_calls); ++round) {
    for (auto& [call, seconds, shares] : running) {
      if (!call) continue;
      const auto flops = round < kRounds ? std::optional(peak.flops()) : std::nullopt;
      const double start = core::seconds_now();
      call();
      seconds.push_back(core::seconds_now() - start);
      in_calls += seconds.back();
      if (flops) shares.push_back(row.flops / seconds.back() / *flops);
    }
  }
  for (size_t i = 0; i < all.size(); ++i) {
    if (!running[i].call) continue;
    all[i].seconds = median(running[i].seconds);
    all[i].share_of_peak = median(running[i].shares);
  }
  return all;
}

void warm_up(const std::vector<Row>& rows) {
  for (const auto& row : rows) {
    for (const auto& contender : row.contenders) {
      if (!contender.objection.empty()) continue;
      try {
        contender.prepare()();
      } catch (const c10::Error&) {
        // It will object again, and then be listed with its reason.
      }
    }
  }
}

}  // namespace perceive::cli::bench
