// The kernel tables, one an instruction set.
#pragma once

#include "perceive/kernels/tile.h"

namespace perceive::kernels {

extern const TileKernels kDefaultKernels, kAvx2Kernels, kAvx512Kernels;

}  // namespace perceive::kernels
