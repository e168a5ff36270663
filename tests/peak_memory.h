// How much memory a piece of work took at its peak.
#pragma once

#include <malloc.h>

#include <fstream>
#include <limits>
#include <string>

namespace perceive {

// A line of /proc/self/status, such as VmHWM, in bytes.
inline double memory_of_this_process(const std::string& line) {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    double kilobytes = 0;
    if (word == line + ":" && status >> kilobytes) return 1024 * kilobytes;
  }
  return std::numeric_limits<double>::quiet_NaN();
}

// By how many bytes the resident memory rose above what it is now while `work` ran. Under the address sanitizer, which
// keeps what is freed, there is nothing to measure: 0.
template <class Work>
double peak_growth(Work&& work) {
#ifdef __SANITIZE_ADDRESS__
  work();
  return 0;
#endif
  malloc_trim(0);                                 // what was freed before counts as new again
  std::ofstream("/proc/self/clear_refs") << "5";  // the peak starts again from here
  const double before = memory_of_this_process("VmRSS");
  work();
  return memory_of_this_process("VmHWM") - before;
}

}  // namespace perceive
