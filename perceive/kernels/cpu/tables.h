// The kernel tables, one an instruction set.
#pragma once

#include "perceive/kernels/peak.h"
#include "perceive/kernels/rows.h"
#include "perceive/kernels/tile.h"

namespace perceive::kernels {

#define PERCEIVE_TABLES(isa)       \
  namespace isa {                  \
  const TileKernels& tile_table(); \
  const RowKernels& row_table();   \
  const PeakLoops& peak_table();   \
  }
PERCEIVE_TABLES(portable)
PERCEIVE_TABLES(avx2)
PERCEIVE_TABLES(avx512)
#undef PERCEIVE_TABLES

}  // namespace perceive::kernels
