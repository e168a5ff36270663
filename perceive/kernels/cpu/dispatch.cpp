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

const TileKernels& choose() {
  const char* const told = std::getenv("PERCEIVE_CPU");
  const std::string name = told != nullptr ? told : "";
  const auto require = [&](bool present, const TileKernels& kernels) -> const TileKernels& {
    if (!present) throw core::ConfigError("PERCEIVE_CPU=" + name + ": this CPU has not got that instruction set");
    return kernels;
  };
  if (name.empty()) return has_avx512() ? kAvx512Kernels : has_avx2() ? kAvx2Kernels : kDefaultKernels;
  if (name == "default") return kDefaultKernels;
  if (name == "avx2") return require(has_avx2(), kAvx2Kernels);
  if (name == "avx512") return require(has_avx512(), kAvx512Kernels);
  throw core::ConfigError("PERCEIVE_CPU must be default, avx2 or avx512; got '" + name + "'");
}

}  // namespace

const TileKernels& tile_kernels() {
  static const TileKernels& chosen = choose();
  return chosen;
}

}  // namespace perceive::kernels
