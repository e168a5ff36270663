// The binary version of CIFAR-10: records of a label byte and 3 x 32 x 32 bytes, planes of red, green and blue.
//
// Source: A. Krizhevsky, "The CIFAR-10 dataset", https://www.cs.toronto.edu/~kriz/cifar.html
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

namespace perceive::data {

inline constexpr int64_t kCifarSide = 32;
inline constexpr int64_t kCifarPlane = kCifarSide * kCifarSide;
inline constexpr int64_t kCifarRecord = 1 + 3 * kCifarPlane;
inline constexpr int64_t kCifarClasses = 10;

// The records of all files in order, uint8 [N, 3073]. Throws core::DataError naming the file where it holds none, a
// part of one, or a label above 9.
at::Tensor read_cifar_records(const std::vector<std::string>& paths);

}  // namespace perceive::data
