// Arrays that are learned as they are.
#include "perceive/nn/learned_array.h"

#include <ATen/ops/empty.h>

namespace perceive::nn {

at::Tensor learned_array(int64_t rows, int64_t channels) {
  return at::empty({rows, channels}).normal_(0.0, 0.02).clamp_(-2.0, 2.0);
}

}  // namespace perceive::nn
