// Keys and values in bfloat16, for kernels that multiply such.
#pragma once

#include "perceive/ops/cpu/keys.h"

namespace perceive::ops::cpu {

// Given keys and values as they are; only the values are packed, and keys copied where their tile is not in whole
// steps.
class Bf16Reader : public TileReader {
 public:
  Bf16Reader(const Shape& shape, const at::Tensor& k, const at::Tensor& v, Pass pass)
      : shape_(shape), k_(k), v_(v), pass_(pass) {}
  void read(int64_t item, Tile& tile) override;
  std::array<kernels::Ahead, 2> ahead(int64_t item, const Range& keys) const override;

 private:
  const Shape& shape_;
  at::Tensor k_, v_;
  Pass pass_;
  Numbers<uint16_t> k_scratch_, v_scratch_, k_packed_, v_packed_;
  kernels::Bf16Keys keys_;
};

}  // namespace perceive::ops::cpu
