// Results against expected ones, for people to read.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>

#include "perceive/io/tensors.h"

namespace perceive::cli {

struct Tolerances {
  double relative, absolute;
  double gradients = 1.0;  // factor for tensors called inputs.… and weights.…
};
struct CheckReport {
  std::string text;  // a line a tensor: the largest difference, and whether it passes
  bool passed = false;
};
// An element passes where |actual - expected| <= absolute + relative |expected|, or both are NaN or the same infinity.
// Every expected tensor must be there; one that is not expected is not compared.
CheckReport check_tensors(const io::Tensors& actual, const io::Tensors& expected, const Tolerances& tolerances);

// "[2, 3]"
std::string shape_text(at::IntArrayRef sizes);

}  // namespace perceive::cli
