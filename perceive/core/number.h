// Decimal numbers as people write them, read strictly and without regard to the locale.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace perceive::core {

struct NumberResult {
  bool ok = true;
  std::string advice;  // where more can be said than that it is no such number
};

// 50000, -1, 1_000, 5e4, 50000.0. Refused: a fraction, a leading zero, 0x, and what int64 cannot hold.
NumberResult read_number(std::string_view text, int64_t* number);
// The same with fractions, and inf, .inf, nan, .nan in YAML's spellings. Refused: what a double cannot hold.
NumberResult read_number(std::string_view text, double* number);

}  // namespace perceive::core
