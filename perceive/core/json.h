// JSON from files nobody vouches for.
#pragma once

#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace perceive::core {

struct JsonLimits {
  size_t bytes = size_t{100} << 20;
  size_t values = 10'000'000;  // objects, arrays and what they hold
  size_t depth = 64;
};

// Throws FileError that starts with `source` and names the byte (from 0) behind which it stopped: for what is not JSON
// or not UTF-8, a key that stands twice in an object, an integer outside of int64 and uint64, a float that overflows,
// and what exceeds the limits.
nlohmann::json parse_json(std::string_view text, const std::string& source, const JsonLimits& limits = {});

}  // namespace perceive::core
