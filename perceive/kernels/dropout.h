// Which attention weights dropout keeps: a function of the seed and the weight's position, never stored.
#pragma once

#include <cstdint>

namespace perceive::kernels {

struct DropoutPattern {
  uint64_t seed = 0;
  double probability = 0.0;  // of dropping, in [0, 1)
};

// For one row of weights (row = (b·H + h)·N + i) writes 0 where the key is dropped and 1 / (1 - probability) where it
// is kept, for the keys first .. first + count.
void dropout_row(const DropoutPattern& pattern, uint64_t row, uint64_t first, int64_t count, float* scale);

}  // namespace perceive::kernels
