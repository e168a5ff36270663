// Examples by index, and the batches made of them.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace perceive::data {

// Tensors by name, the batch dimension first: "image" [B, H, W, C], "label" [B], …
using Batch = std::map<std::string, at::Tensor>;

class Dataset {
 public:
  virtual ~Dataset() = default;
  virtual int64_t size() const = 0;
  // The examples at `indices`, stacked. Must be safe to call from several threads. Random transforms draw from
  // `seed` alone, so that the same (indices, seed) always gives the same batch. Errors name the example's index.
  virtual Batch batch(const std::vector<int64_t>& indices, uint64_t seed) const = 0;
  // Identifies the content (a hash, or sizes and times); a checkpoint remembers it.
  virtual std::string fingerprint() const = 0;
};

}  // namespace perceive::data
