// The hash behind the dropout pattern.
#include "perceive/kernels/dropout.h"

#include <cmath>

namespace perceive::kernels {
namespace {

// The finalisers of MurmurHash3 (Appleby, public domain): every input bit reaches every output bit.
uint64_t mix64(uint64_t x) {
  x = (x ^ (x >> 33)) * 0xff51afd7ed558ccdULL;
  x = (x ^ (x >> 33)) * 0xc4ceb9fe1a85ec53ULL;
  return x ^ (x >> 33);
}

uint32_t mix32(uint32_t x) {
  x = (x ^ (x >> 16)) * 0x85ebca6bU;
  x = (x ^ (x >> 13)) * 0xc2b2ae35U;
  return x ^ (x >> 16);
}

}  // namespace

void dropout_row(const DropoutPattern& pattern, uint64_t row, uint64_t first, int64_t count, float* scale) {
  const auto threshold = static_cast<uint64_t>(std::ldexp(pattern.probability, 32));
  const auto kept = static_cast<float>(1.0 / (1.0 - pattern.probability));
  // 64 bits a row, 32 bits a key: the loop over keys stays in 32-bit lanes.
  const uint64_t key = mix64(mix64(pattern.seed + 0x9e3779b97f4a7c15ULL) ^ row);
  const auto low = static_cast<uint32_t>(key), high = static_cast<uint32_t>(key >> 32);
  for (int64_t j = 0; j < count; ++j) {
    const uint64_t position = first + static_cast<uint64_t>(j);
    const uint32_t folded = static_cast<uint32_t>(position) ^ (static_cast<uint32_t>(position >> 32) * 0x9e3779b9U);
    const uint32_t hash = mix32(mix32(folded ^ low) + high);
    scale[j] = hash < threshold ? 0.0F : kept;
  }
}

}  // namespace perceive::kernels
