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
};

// Throws for what could not be written in the end, which would waste the whole run: core::ConfigError for a folder,
// core::FileError otherwise. `option` is the flag's name.
void check_output(const std::string& file, const char* option);

// "12.30 ms".
std::string duration(double seconds);

std::string table(const Report& report);

// A list of one object a result: `name`, `plan` (null: none), `seconds`, `gflops`, `share_of_peak`, `ratio_to` (peer's
// seconds over ours, by peer), `extra_bytes` (null where the system does not tell), `max_error`; then `peers` (the same
// of each, or why it was left out), `machine` and `options`.
nlohmann::json json_of(const Report& report);

}  // namespace perceive::cli::bench
