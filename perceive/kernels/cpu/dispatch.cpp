// Which instruction set the loops run on: asked of the CPU once, or told by PERCEIVE_CPU.
#include <cstdlib>
#include <string>

#include "perceive/core/error.h"
#include "perceive/kernels/cpu/tables.h"

namespace perceive::kernels {
namespace {

bool has_avx2() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}
bool has_avx512() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

// The tables of one instruction set.
struct Tables {
  const char* name;
  const TileKernels& tile;
  const RowKernels& row;
  const PeakLoops& peak;
};

Tables choose() {
  const Tables portable{"default", portable::tile_table(), portable::row_table(), portable::peak_table()};
  const Tables avx2{"avx2", avx2::tile_table(), avx2::row_table(), avx2::peak_table()};
  const Tables avx512{"avx512", avx512::tile_table(), avx512::row_table(), avx512::peak_table()};
  const char* const told = std::getenv("PERCEIVE_CPU");
  const std::string name = told != nullptr ? told : "";
  const auto require = [&](bool present, const Tables& tables) -> const Tables& {
    if (!present) throw core::ConfigError("PERCEIVE_CPU=" + name + ": this CPU has not got that instruction set");
    return tables;
  };
  if (name.empty()) return has_avx512() ? avx512 : has_avx2() ? avx2 : portable;
  if (name == "default") return portable;
  if (name == "avx2") return require(has_avx2(), avx2);
  if (name == "avx512") return require(has_avx512(), avx512);
  throw core::ConfigError("PERCEIVE_CPU must be default, avx2 or avx512; got '" + name + "'");
}

const Tables& tables() {
  static const Tables chosen = choose();
  return chosen;
}

}  // namespace

const TileKernels& tile_kernels() {
  return tables().tile;
}
const RowKernels& row_kernels() {
  return tables().row;
}
const PeakLoops& peak_loops() {
  return tables().peak;
}
const char* instruction_set() {
  return tables().name;
}

}  // namespace perceive::kernels
