// Memory sizes for messages.
#include "perceive/core/memory.h"

#include <unistd.h>

#include <array>
#include <cstdio>

#include "perceive/core/error.h"

namespace perceive::core {

double physical_memory() {
  return static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGE_SIZE));
}

std::string readable_bytes(double bytes) {
  constexpr std::array kUnits{"B", "kB", "MB", "GB", "TB", "PB", "EB"};
  size_t unit = 0;
  while (bytes >= 999.5 && unit + 1 < kUnits.size()) {
    bytes /= 1000;
    ++unit;
  }
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), unit == 0 || bytes >= 99.95 ? "%.0f %s" : "%.1f %s", bytes, kUnits[unit]);
  return text.data();
}

void require_memory(double bytes, const std::string& what) {
  if (bytes <= physical_memory()) return;
  throw ConfigError(what + " would need " + readable_bytes(bytes) + " of memory; this machine has " +
                    readable_bytes(physical_memory()) + ". Choose smaller sizes.");
}

}  // namespace perceive::core
