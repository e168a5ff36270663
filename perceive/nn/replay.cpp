// The states of libtorch's generators and of its autocast.
#include "perceive/nn/replay.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>
#include <ATen/autocast_mode.h>

#include <mutex>

namespace perceive::nn {

RandomState::RandomState(at::Device device) {
  generators_.push_back(at::detail::getDefaultCPUGenerator());
  if (!device.is_cpu()) generators_.push_back(at::globalContext().defaultGenerator(device));
  for (auto& generator : generators_) {
    const std::lock_guard<std::mutex> lock(generator.mutex());
    states_.push_back(generator.get_state());
  }
}

void RandomState::restore() const {
  for (size_t i = 0; i < generators_.size(); ++i) {
    auto generator = generators_[i];
    const std::lock_guard<std::mutex> lock(generator.mutex());
    generator.set_state(states_[i]);
  }
}

AutocastState::AutocastState(at::DeviceType type)
    : type_(type),
      available_(at::autocast::is_autocast_available(type)),
      cache_(at::autocast::is_autocast_cache_enabled()) {
  if (!available_) return;
  enabled_ = at::autocast::is_autocast_enabled(type);
  dtype_ = at::autocast::get_autocast_dtype(type);
}

void AutocastState::restore() const {
  at::autocast::set_autocast_cache_enabled(cache_);
  if (!available_) return;
  at::autocast::set_autocast_enabled(type_, enabled_);
  at::autocast::set_autocast_dtype(type_, dtype_);
}

UncachedAutocast::UncachedAutocast(const AutocastState& wanted, at::DeviceType type) : before_(type) {
  wanted.restore();
  at::autocast::set_autocast_cache_enabled(false);
}

}  // namespace perceive::nn
