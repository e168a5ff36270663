// What this machine can do at this moment: the yardstick of a measurement.
#pragma once

#include <string>

namespace perceive::cli::bench {

// Of all of libtorch's threads together, best of several bursts.
struct Machine {
  double flops = 0;  // float32 multiply-adds a second, counted as two each
  double bytes = 0;  // read from memory a second
};

Machine measure_machine();

// Whether two measurements of the peak are so far apart that what lies between them means little; in words.
std::string disagreement(const Machine& before, const Machine& after);

}  // namespace perceive::cli::bench
