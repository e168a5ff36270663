// Training examples and those held out of them.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace perceive::data {

struct Split {
  at::Tensor training;    // int64 [count - val_split]: examples by their numbers
  at::Tensor validation;  // int64 [val_split]
};
// The split of torch.utils.data.random_split with a generator of `seed`: the first and the rest of one permutation.
// Throws core::DataError where nothing would be left to train on.
Split random_split(int64_t count, int64_t val_split, int64_t seed);

}  // namespace perceive::data
