// Where a tile's keys and values come from: given tensors, or a projection of a described source.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

#include "perceive/ops/operators.h"
#include "perceive/ops/parts.h"

namespace perceive::ops::formula {

inline at::Tensor narrow(const at::Tensor& tensor, int64_t dim, const Range& range) {
  return tensor.narrow(dim, range.begin, range.size());
}

// Keys and values of some batch items, [b, Hk, t, D] and [b, Hk, t, Dv] in the accumulation type, and what the
// projection's backward pass wants to see again.
struct KeyTile {
  at::Tensor k, v;
  at::Tensor projected;      // [b, t, R] before the biases, R = Hk·D + Hk·Dv
  at::Tensor centred;        // [b, t, C] values less the mean over all features (or the values, without LayerNorm)
  at::Tensor mean, inverse;  // [b, t, 1] of LayerNorm: mean and 1 / standard deviation
};

// What one part of the work adds to the gradients of keys and values.
class KeyGradients {
 public:
  virtual ~KeyGradients() = default;
  virtual void add(const KeyTile& tile, const Range& items, const Range& keys, const at::Tensor& grad_k,
                   const at::Tensor& grad_v) = 0;
};

class Keys {
 public:
  virtual ~Keys() = default;
  virtual KeyTile tile(const Range& items, const Range& keys) const = 0;
};

// Keys and values as they are, [B, Hk, M, D]; half precision is widened a tile at a time.
class GivenKeys : public Keys {
 public:
  GivenKeys(const at::Tensor& k, const at::Tensor& v, at::ScalarType type) : k_(k), v_(v), type_(type) {}
  KeyTile tile(const Range& items, const Range& keys) const override;

 private:
  at::Tensor k_, v_;
  at::ScalarType type_;
};

class GivenKeyGradients : public KeyGradients {
 public:
  // grad_k and grad_v are shaped like k and v, in the accumulation type; parts never share an element.
  GivenKeyGradients(at::Tensor grad_k, at::Tensor grad_v) : grad_k_(std::move(grad_k)), grad_v_(std::move(grad_v)) {}
  void add(const KeyTile& tile, const Range& items, const Range& keys, const at::Tensor& grad_k,
           const at::Tensor& grad_v) override;

 private:
  at::Tensor grad_k_, grad_v_;
};

}  // namespace perceive::ops::formula
