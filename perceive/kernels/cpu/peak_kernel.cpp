// The loops of peak.h, compiled once an instruction set.
#include "perceive/kernels/cpu/tables.h"
#include "perceive/kernels/cpu/vectors.h"

namespace perceive::kernels::PERCEIVE_ISA {
namespace {

// Two multiply-adds begin in a cycle and each takes four or five: ten chains are enough, more do no harm. The rest of
// the registers hold the constants.
constexpr int kChains = kRows * kVectors;
constexpr int kSteps = 8;  // of a chain in a round, so that the loop's own counting does not show

float multiply_add(int64_t rounds) {
  const Register factor = broadcast(0.5F), addend = broadcast(1.0F);
  Register chains[kChains];
#pragma GCC unroll 32
  for (int c = 0; c < kChains; ++c) chains[c] = broadcast(static_cast<float>(c));  // no two chains are one
  for (int64_t r = 0; r < rounds; ++r) {
#pragma GCC unroll 8
    for (int s = 0; s < kSteps; ++s) {
#pragma GCC unroll 32
      for (int c = 0; c < kChains; ++c) chains[c] = chains[c] * factor + addend;
    }
  }
  Register sum{};
#pragma GCC unroll 32
  for (int c = 0; c < kChains; ++c) sum += chains[c];
  return sum_of(sum);
}

float read(const float* data, int64_t count) {
  constexpr int kStreams = 8;
  Register sums[kStreams] = {};
  int64_t i = 0;
  for (; i + kStreams * kWidth <= count; i += kStreams * kWidth) {
#pragma GCC unroll 8
    for (int s = 0; s < kStreams; ++s) sums[s] += load(data + i + s * kWidth);
  }
  float sum = 0.0F;
  for (const Register& of : sums) sum += sum_of(of);
  for (; i < count; ++i) sum += data[i];
  return sum;
}

}  // namespace

const PeakLoops& peak_table() {
  static constexpr PeakLoops kTable = {int64_t{2} * kWidth * kChains * kSteps, multiply_add, read};
  return kTable;
}

}  // namespace perceive::kernels::PERCEIVE_ISA
