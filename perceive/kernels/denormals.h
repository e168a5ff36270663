// Numbers below 2^-126 count as zero while this lives, on this thread: weights of far keys, and what they are
// multiplied with, would otherwise cost a hundred times as much as others and change nothing.
#pragma once

#include <cstdint>

namespace perceive::kernels {

class DenormalsAreZero {
 public:
  DenormalsAreZero();
  ~DenormalsAreZero();
  DenormalsAreZero(const DenormalsAreZero&) = delete;
  DenormalsAreZero& operator=(const DenormalsAreZero&) = delete;

 private:
  uint32_t before_;
};

}  // namespace perceive::kernels
