// Examples that lie in memory as tensors.
#pragma once

#include "perceive/data/dataset.h"

namespace perceive::data {

class TensorDataset : public Dataset {
 public:
  // Each tensor has one row per example: [N, …]. Throws core::DataError where the numbers of rows differ.
  explicit TensorDataset(Batch tensors);

  int64_t size() const override { return size_; }
  Batch batch(const std::vector<int64_t>& indices, uint64_t seed) const override;
  std::string fingerprint() const override;  // names, types, shapes, and a CRC-32 of the bytes

 private:
  Batch tensors_;
  int64_t size_ = 0;
};

}  // namespace perceive::data
