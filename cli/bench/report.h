// What was measured, for people and for programs.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "cli/bench/machine.h"
#include "cli/bench/measure.h"
#include "cli/bench/options.h"

namespace perceive::cli::bench {

struct Result {
  std::string name, plan;
  double flops = 0;
  std::vector<Measured> measured;  // ours first
};

struct Report {
  AttentionOptions options;
  Sizes sizes;
  Machine before, after;
  std::vector<Result> results;

  double peak() const;  // the better of the two, FLOP/s
};

std::string table(const Report& report);

// A list of one object a result: `name`, `plan` (null: none), `seconds`, `gflops`, `share_of_peak`, `ratio_to` (peer's
// seconds over ours, by peer), `extra_bytes` (null where the system does not tell), `max_error`; then `peers` (the same
// of each, or why it was left out), `machine` and `options`.
nlohmann::json json_of(const Report& report);

}  // namespace perceive::cli::bench
