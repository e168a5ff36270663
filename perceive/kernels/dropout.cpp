// The hash behind the dropout pattern.
#include "perceive/kernels/dropout.h"

#include <algorithm>
#include <cmath>

#include "perceive/kernels/rows.h"

namespace perceive::kernels {
namespace {

// The finaliser of MurmurHash3 (Appleby, public domain): every input bit reaches every output bit.
uint64_t mix64(uint64_t x) {
  x = (x ^ (x >> 33)) * 0xff51afd7ed558ccdULL;
  x = (x ^ (x >> 33)) * 0xc4ceb9fe1a85ec53ULL;
  return x ^ (x >> 33);
}

}  // namespace

void dropout_row(const DropoutPattern& pattern, uint64_t row, uint64_t first, int64_t count, float* scale) {
  // 64 bits a row, 32 bits a key: the loop over keys stays in 32-bit lanes.
  const uint64_t key = mix64(mix64(pattern.seed + 0x9e3779b97f4a7c15ULL) ^ row);
  DropoutRow part{.high = static_cast<uint32_t>(key >> 32),
                  .threshold = static_cast<uint32_t>(std::ldexp(pattern.probability, 32)),
                  .kept = static_cast<float>(1.0 / (1.0 - pattern.probability))};
  constexpr int64_t kPositions = int64_t{1} << 32;
  while (count > 0) {
    part.first = static_cast<uint32_t>(first);
    part.low = static_cast<uint32_t>(key) ^ (static_cast<uint32_t>(first >> 32) * 0x9e3779b9U);
    const int64_t here = std::min(count, kPositions - int64_t{part.first});
    row_kernels().drop(part, here, scale);
    first += static_cast<uint64_t>(here);
    scale += here;
    count -= here;
  }
}

}  // namespace perceive::kernels
