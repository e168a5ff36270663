// Seeds for operators that drop by a function of a seed, not by numbers drawn one after the other.
#pragma once

#include <cstdint>

namespace perceive::nn {

// From the default generator.
int64_t draw_seed();

}  // namespace perceive::nn
