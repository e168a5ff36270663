// Random numbers that are the same on every machine and with every libtorch: the order of examples stands on them.
//
// Source: SplitMix64 of G. L. Steele, D. Lea, C. H. Flood, "Fast splittable pseudorandom number generators", 2014.
#pragma once

#include <cstdint>

namespace perceive::data {

class SplitMix64 {
 public:
  explicit SplitMix64(uint64_t seed) : state_(seed) {}

  uint64_t next() {
    uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
  }
  // In [0, bound). The bias is below bound / 2^64.
  uint64_t below(uint64_t bound) { return static_cast<unsigned __int128>(next()) * bound >> 64; }

 private:
  uint64_t state_;
};

// A seed of its own for each (seed, a, b).
inline uint64_t derive_seed(uint64_t seed, uint64_t a, uint64_t b) {
  const uint64_t of_a = SplitMix64(SplitMix64(seed).next() ^ a).next();
  return SplitMix64(of_a ^ b).next();
}

}  // namespace perceive::data
