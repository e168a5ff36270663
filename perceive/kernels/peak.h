// Loops that do nothing but multiply and add, or read: what a kernel's speed is measured against.
#pragma once

#include <cstdint>

namespace perceive::kernels {

struct PeakLoops {
  int64_t flops_a_round;  // a multiplication and an addition count as two
  // Rounds of float32 multiply-adds in registers, and the sum of `count` floats. The results depend on all of the work,
  // so that none is left out.
  float (*multiply_add)(int64_t rounds);
  float (*read)(const float* data, int64_t count);
};

// Of the instruction set that tile_kernels() runs on.
const PeakLoops& peak_loops();

}  // namespace perceive::kernels
