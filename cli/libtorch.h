// Which libtorch this program was built against, and which one it runs with.
#pragma once

#include <string>

namespace perceive::cli {

struct Libtorch {
  std::string built;   // version of the headers, "2.15.0"
  std::string loaded;  // version of the library in the process
  std::string file;    // where that library lies
};

Libtorch libtorch();
// Throws core::Error unless both versions are one: libtorch's C++ interface changes from release to release.
void check(const Libtorch& libtorch);

}  // namespace perceive::cli
