// Which instruction set the loops run on: asked of the CPU once, or told by PERCEIVE_CPU.
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include <algorithm>
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
bool has_amx() {
  if (!has_avx512() || !__builtin_cpu_supports("avx512bf16") || !__builtin_cpu_supports("amx-tile") ||
      !__builtin_cpu_supports("amx-bf16")) {
    return false;
  }
#if defined(__linux__) && defined(SYS_arch_prctl)
  // The tiles are 8 KiB more of a thread's state, which the kernel keeps only for processes that ask for them.
  constexpr long kAskForState = 0x1023, kTileData = 18;
  return syscall(SYS_arch_prctl, kAskForState, kTileData) == 0;
#else
  return false;
#endif
}

// Put together here: code that is compiled for the set must not run elsewhere.
const TileKernels& amx_tiles() {
  static const TileKernels kTiles = [] {
    TileKernels tiles = avx512::tile_table();
    tiles.forward = amx::forward;
    tiles.backward = amx::backward;
    tiles.product = amx::product;
    tiles.matmul = amx::matmul;
    tiles.split_rows = amx::split_to_rows;
    tiles.split_columns = amx::split_to_columns;
    tiles.pack_values = amx::pack_values;
    tiles.pack_queries = amx::pack_queries;
    return tiles;
  }();
  return kTiles;
}

Tables choose() {
  const auto all = all_tables();
  const char* const told = std::getenv("PERCEIVE_CPU");
  const std::string name = told != nullptr ? told : "";
  if (name.empty()) {
    return *std::find_if(all.rbegin(), all.rend(), [](const Tables& tables) { return tables.present; });
  }
  for (const Tables& tables : all) {
    if (name != tables.name) continue;
    if (!tables.present)
      throw core::ConfigError("PERCEIVE_CPU=" + name + ": this CPU has not got that instruction set");
    return tables;
  }
  throw core::ConfigError("PERCEIVE_CPU must be default, avx2, avx512 or amx; got '" + name + "'");
}

const Tables& tables() {
  static const Tables chosen = choose();
  return chosen;
}

}  // namespace

std::array<Tables, 4> all_tables() {
  return {{{"default", true, portable::tile_table(), portable::row_table(), portable::peak_table()},
           {"avx2", has_avx2(), avx2::tile_table(), avx2::row_table(), avx2::peak_table()},
           {"avx512", has_avx512(), avx512::tile_table(), avx512::row_table(), avx512::peak_table()},
           {"amx", has_amx(), amx_tiles(), avx512::row_table(), avx512::peak_table()}}};
}

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
