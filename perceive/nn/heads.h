// Channels as heads and back; heads lie one after the other.
#pragma once

#include <ATen/core/Tensor.h>

namespace perceive::nn {

// [..., N, H·D] to [..., H, N, D]. A view.
inline at::Tensor split_heads(const at::Tensor& x, int64_t heads) {
  return x.unflatten(-1, {heads, x.size(-1) / heads}).transpose(-3, -2);
}
// [..., H, N, D] to [..., N, H·D].
inline at::Tensor merge_heads(const at::Tensor& x) {
  return x.transpose(-3, -2).flatten(-2);
}

}  // namespace perceive::nn
