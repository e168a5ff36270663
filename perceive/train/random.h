// The state of the default random generator.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace perceive::train {

// Any int64 of 0 or more; throws core::ConfigError for others.
void seed_everything(int64_t seed);

at::Tensor random_state();
// Throws core::FileError where it is not one.
void set_random_state(const at::Tensor& state);

// What is drawn in this scope does not change what is drawn after it.
class KeepRandomState {
 public:
  KeepRandomState() : state_(random_state()) {}
  ~KeepRandomState() { set_random_state(state_); }
  KeepRandomState(const KeepRandomState&) = delete;
  KeepRandomState& operator=(const KeepRandomState&) = delete;

 private:
  at::Tensor state_;
};

}  // namespace perceive::train
