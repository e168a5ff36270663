// Named numbers, and their means over batches.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "perceive/io/tensors.h"
#include "perceive/train/learner.h"

namespace perceive::train {

using Metrics = std::map<std::string, double>;

// Means of what step() returns, each batch weighted by its number of examples; of `logarithms` the exponential of the
// mean.
class Means {
 public:
  // Throws core::Error where the output has no scalar loss or no examples.
  void add(const StepOutput& output);
  bool empty() const { return examples_ == 0; }
  void clear();
  // "loss", "acc", … behind `prefix`.
  Metrics values(const std::string& prefix) const;

  io::Tensors state() const;
  void restore(const io::Tensors& state);

 private:
  Metrics sums_, sums_of_logarithms_;
  int64_t examples_ = 0;
};

// "val_acc=0.871, val_loss=0.345"
std::string text(const Metrics& metrics);

}  // namespace perceive::train
