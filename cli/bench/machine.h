// What this machine can do at this moment: the yardstick of a measurement.
#pragma once

#include <cstdint>
#include <string>

namespace perceive::cli::bench {

// Of all of libtorch's threads together, best of several bursts.
struct Machine {
  double flops = 0;  // float32 multiply-adds a second, counted as two each
  double bytes = 0;  // read from memory a second
};

Machine measure_machine();

// float32 multiply-adds on all of libtorch's threads for about a hundredth of a second, again and again.
class Peak {
 public:
  Peak();
  double flops() const;  // a second, of one burst

 private:
  int64_t rounds_;
};

// Whether two measurements of the peak are so far apart that what lies between them means little; in words.
std::string disagreement(const Machine& before, const Machine& after);

}  // namespace perceive::cli::bench
