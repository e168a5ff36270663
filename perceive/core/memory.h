// How much memory there is, and a refusal of what could never fit, before anything is allocated.
#pragma once

#include <string>

namespace perceive::core {

// Of the machine, in bytes.
double physical_memory();
// "512 B", "3.2 GB", "466 TB"; powers of 1000.
std::string readable_bytes(double bytes);
// Throws ConfigError where `bytes`, needed for `what`, exceeds the physical memory. A double, so that products of
// absurd sizes do not overflow.
void require_memory(double bytes, const std::string& what);

}  // namespace perceive::core
