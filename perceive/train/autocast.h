// Mixed precision for a scope.
#pragma once

#include <ATen/autocast_mode.h>

namespace perceive::train {

// Matrix products and the like run in bfloat16 on the CPU; exceptions leave the scope as it was entered. The casts of
// the parameters are remembered until the outermost scope ends, so a step of the optimizer must lie outside.
class Autocast {
 public:
  explicit Autocast(bool enabled)
      : was_enabled_(at::autocast::is_autocast_enabled(at::kCPU)),
        had_dtype_(at::autocast::get_autocast_dtype(at::kCPU)) {
    at::autocast::increment_nesting();
    at::autocast::set_autocast_enabled(at::kCPU, enabled);
    if (enabled) at::autocast::set_autocast_dtype(at::kCPU, at::kBFloat16);
  }
  ~Autocast() {
    if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
    at::autocast::set_autocast_dtype(at::kCPU, had_dtype_);
    at::autocast::set_autocast_enabled(at::kCPU, was_enabled_);
  }
  Autocast(const Autocast&) = delete;
  Autocast& operator=(const Autocast&) = delete;

 private:
  bool was_enabled_;
  at::ScalarType had_dtype_;
};

}  // namespace perceive::train
