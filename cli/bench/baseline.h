// A stored run of `perceive bench attention`, and whether this one is slower.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "cli/bench/options.h"

namespace perceive::cli::bench {

constexpr double kMayFall = 0.15;  // of a ratio

// What --json wrote. Throws core::FileError for another file, and core::ConfigError where its sizes, dtype, plan or
// threads are not those of `options`: their ratios say nothing of each other.
nlohmann::json read_baseline(const std::string& file, const AttentionOptions& options);

struct Fallen {
  std::string row, peer;
  double was = 0, is = 0;  // seconds of the peer over ours
};
// The ratios to libtorch's own ways in `now` that are lower by more than kMayFall. Only ratios count: seconds are those
// of a machine and a moment. What one of the two has not measured is passed over.
std::vector<Fallen> fallen(const nlohmann::json& baseline, const nlohmann::json& now);

// A line for each.
std::string words_of(const std::vector<Fallen>& fallen);

}  // namespace perceive::cli::bench
