// What every fuzz target is made of: an input is read, or refused by a core::FileError; all else is a finding.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "perceive/core/error.h"

namespace perceive::fuzz {

// A wrong answer must end the process, as an address that is none does.
inline void expect(bool holds) {
  if (!holds) std::abort();
}

template <class Read>
int run(const uint8_t* data, size_t size, Read&& read) {
  try {
    read(std::string_view(reinterpret_cast<const char*>(data), size));
  } catch (const core::FileError& error) {
    expect(std::string_view(error.what()).starts_with("input: "));
  }
  return 0;
}

}  // namespace perceive::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
