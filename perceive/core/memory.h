// How much memory there is and the process takes, and a refusal of what could never fit, before anything is allocated.
#pragma once

#include <string>

namespace perceive::core {

// Of the machine, in bytes; and what programs can still take of it.
double physical_memory();
double available_memory();
// What the process has in memory, and the most it had since the last restart_peak_memory(); 0 where nobody knows.
double resident_memory();
double peak_resident_memory();
// False where the system does not let a process start that count again.
bool restart_peak_memory();
// "512 B", "3.2 GB", "466 TB"; powers of 1000.
std::string readable_bytes(double bytes);
// Throws ConfigError where `bytes`, needed for `what`, exceeds the physical memory. A double, so that products of
// absurd sizes do not overflow.
void require_memory(double bytes, const std::string& what);

}  // namespace perceive::core
