// Keys and values that are given.
#include "perceive/ops/formula/keys.h"

#include <ATen/ATen.h>

namespace perceive::ops::formula {

KeyTile GivenKeys::tile(const Range& items, const Range& keys) const {
  KeyTile tile;
  tile.k = narrow(narrow(k_, 0, items), 2, keys).to(type_);
  tile.v = narrow(narrow(v_, 0, items), 2, keys).to(type_);
  return tile;
}

void GivenKeyGradients::add(const KeyTile&, const Range& items, const Range& keys, const at::Tensor& grad_k,
                            const at::Tensor& grad_v) {
  narrow(narrow(grad_k_, 0, items), 2, keys).add_(grad_k);
  narrow(narrow(grad_v_, 0, items), 2, keys).add_(grad_v);
}

}  // namespace perceive::ops::formula
