// Memory as Linux counts it, and its sizes for messages.
#include "perceive/core/memory.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <string_view>

#include "perceive/core/error.h"

namespace perceive::core {
namespace {

// The bytes of a line such as "VmHWM:    1672 kB"; 0 where there is none.
double bytes_in(const char* file, std::string_view name) {
  std::ifstream stream(file);
  for (std::string line; std::getline(stream, line);) {
    if (line.starts_with(name)) return 1024.0 * std::atof(line.c_str() + name.size());
  }
  return 0;
}

// What the container, if there is one, leaves of its limit (cgroup v2); cached files make room.
double room_in_container() {
  double limit = 0, used = 0;
  if (!(std::ifstream("/sys/fs/cgroup/memory.max") >> limit)) return std::numeric_limits<double>::infinity();
  std::ifstream("/sys/fs/cgroup/memory.current") >> used;
  double cached = 0;
  std::ifstream stat("/sys/fs/cgroup/memory.stat");
  for (std::string line; std::getline(stat, line);) {
    if (line.starts_with("inactive_file ")) cached = std::atof(line.c_str() + line.find(' '));
  }
  return std::max(0.0, limit - used + cached);
}

}  // namespace

double physical_memory() {
  return static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGE_SIZE));
}

double available_memory() {
  return std::min(bytes_in("/proc/meminfo", "MemAvailable:"), room_in_container());
}

double resident_memory() {
  return bytes_in("/proc/self/status", "VmRSS:");
}

double peak_resident_memory() {
  return bytes_in("/proc/self/status", "VmHWM:");
}

bool restart_peak_memory() {
  std::ofstream file("/proc/self/clear_refs");
  file << "5" << std::flush;  // proc(5)
  return file.good();
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
