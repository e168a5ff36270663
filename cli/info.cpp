// What `perceive info` prints.
#include "cli/info.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>
#include <thread>

#include "cli/libtorch.h"
#include "perceive/core/text.h"
#include "perceive/core/version.h"
#include "perceive/kernels/tile.h"

namespace perceive::cli {
namespace {

std::vector<std::string> instruction_sets() {
  std::vector<std::string> found;
#if defined(__x86_64__)
  __builtin_cpu_init();
#define PERCEIVE_ASK(name) \
  if (__builtin_cpu_supports(name)) found.emplace_back(name)
  PERCEIVE_ASK("avx2");
  PERCEIVE_ASK("fma");
  PERCEIVE_ASK("avx512f");
  PERCEIVE_ASK("avx512bw");
  PERCEIVE_ASK("avx512vnni");
  PERCEIVE_ASK("avx512bf16");
  PERCEIVE_ASK("amx-tile");
  PERCEIVE_ASK("amx-bf16");
#undef PERCEIVE_ASK
#endif
  return found;
}

std::string or_none(std::string words) {
  return words.empty() ? "none" : words;
}

}  // namespace

std::string info() {
  const auto torch = libtorch();
  const char* openmp = std::getenv("OMP_NUM_THREADS");
  std::error_code ignored;
  std::string text;
  const auto line = [&](const char* name, const std::string& value) { text += fmt::format("{:<18}{}\n", name, value); };
  line("perceive", core::version());
  line("libtorch", fmt::format("{} (built against {})", torch.loaded, torch.built));
  line("", torch.file);
  line("instruction sets",
       fmt::format("found {}; libtorch uses {}, the kernels {}", or_none(core::join(instruction_sets())),
                   at::get_cpu_capability(), kernels::instruction_set()));
  line("threads", fmt::format("{} of {} processors; OMP_NUM_THREADS {}", at::get_num_threads(),
                              std::thread::hardware_concurrency(), openmp ? openmp : "is not set"));
  line("devices", at::hasCUDA() ? "cpu, cuda" : "cpu");
  line("runs go to", (std::filesystem::current_path(ignored) / "logs").string() + " (trainer.default_root_dir)");
  line("configuration", "only the files that --config names");
  return text;
}

}  // namespace perceive::cli
