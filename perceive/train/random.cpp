// Saving and setting libtorch's default CPU generator.
#include "perceive/train/random.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>
#include <fmt/format.h>

#include <mutex>

#include "perceive/core/error.h"

namespace perceive::train {

void seed_everything(int64_t seed) {
  if (seed < 0) throw core::ConfigError(fmt::format("seed_everything: expected 0 or more, got {}", seed));
  at::manual_seed(static_cast<uint64_t>(seed));
}

at::Tensor random_state() {
  auto generator = at::detail::getDefaultCPUGenerator();
  const std::lock_guard lock(generator.mutex());
  return generator.get_state();
}

void set_random_state(const at::Tensor& state) {
  auto generator = at::detail::getDefaultCPUGenerator();
  const std::lock_guard lock(generator.mutex());
  try {
    generator.set_state(state);
  } catch (const c10::Error& error) {
    throw core::FileError(fmt::format("not the state of a random generator: {}", error.what_without_backtrace()));
  }
}

}  // namespace perceive::train
