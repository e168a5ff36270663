// Seeds from the default generator.
#include "perceive/nn/seed.h"

#include <ATen/CPUGeneratorImpl.h>

#include <mutex>

namespace perceive::nn {

int64_t draw_seed() {
  auto generator = at::detail::getDefaultCPUGenerator();
  const std::lock_guard<std::mutex> lock(generator.mutex());
  return static_cast<int64_t>(at::check_generator<at::CPUGeneratorImpl>(generator)->random64() >> 1);
}

}  // namespace perceive::nn
