// What `perceive bench models` measured, for people and for programs.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace perceive::cli::bench {

// An object a measurement: class, version, args, pass, length, batch, depth, latents (null where the preset has none),
// parameters, threads, instructions, repeats, seconds (median), fastest_seconds, items_per_second; extra_bytes, by
// which the first pass raised the memory of its process above weights, their gradients and inputs; peak_bytes, of that
// process in all (null where the system does not tell).
using Measurements = std::vector<nlohmann::json>;

std::string table_head();
std::string table_line(const nlohmann::json& measurement);
std::string csv_of(const Measurements& measurements);

}  // namespace perceive::cli::bench
