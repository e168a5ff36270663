// Training examples and those held out of them.
#include "perceive/data/split.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/randperm.h>
#include <fmt/format.h>

#include "perceive/core/error.h"

namespace perceive::data {

Split random_split(int64_t count, int64_t val_split, int64_t seed) {
  if (val_split >= count) {
    throw core::DataError(
        fmt::format("val_split: expected less than the {} training examples, got {}", count, val_split));
  }
  auto generator = at::make_generator<at::CPUGeneratorImpl>(static_cast<uint64_t>(seed));
  const at::Tensor order = at::randperm(count, generator, at::kLong);
  return {order.slice(0, 0, count - val_split), order.slice(0, count - val_split)};
}

}  // namespace perceive::data
