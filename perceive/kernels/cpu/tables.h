// The kernel tables, one an instruction set.
#pragma once

#include <array>

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
// What TileKernels has in place of AVX-512's.
namespace amx {
void forward(const KeyTile& tile, const ForwardBlock& block);
void backward(const KeyTile& tile, const BackwardBlock& block);
void product(const Product& p);
bool matmul(const Matmul& p);
bool split_to_rows(const ConstRows& numbers, int64_t rows, int64_t depth, uint16_t* parts);
bool split_to_columns(const ConstRows& numbers, int64_t rows, int64_t depth, uint16_t* parts);
void pack_values(const uint16_t* v, int64_t stride, int64_t keys, int64_t width, uint16_t* packed);
void pack_queries(const uint16_t* q, int64_t stride, int64_t rows, int64_t width, uint32_t* pairs, int64_t lanes);
}  // namespace amx

// The tables of one instruction set.
struct Tables {
  const char* name;
  bool present;  // whether this CPU has it
  const TileKernels& tile;
  const RowKernels& row;
  const PeakLoops& peak;
};
// Of all of them, the plainest first.
std::array<Tables, 4> all_tables();

}  // namespace perceive::kernels
