// Forward and backward of a call on the kernels.
#pragma once

#include <functional>
#include <memory>
#include <tuple>

#include "perceive/ops/cpu/keys.h"

namespace perceive::ops::cpu {

using MakeReader = std::function<std::unique_ptr<TileReader>()>;

// q [B, H, N, D] of any floating type but float64. Gives out [B, H, N, Dv] in the type of q, and lse [B, H, N].
std::tuple<at::Tensor, at::Tensor> forward(const Shape& shape, const Plan& plan, const at::Tensor& q,
                                           const at::Tensor& mask, const MakeReader& reader);

// Makes the reader of part `index` and what takes the gradients of its tiles.
struct BackwardPart {
  std::unique_ptr<TileReader> reader;
  std::unique_ptr<TileGradients> gradients;
};
using MakeBackwardPart = std::function<BackwardPart(int64_t index, const Plan::Part& part)>;

// The gradient of q, in its type. grad_lse may be undefined.
at::Tensor backward(const Shape& shape, const Plan& plan, const at::Tensor& grad_out, const at::Tensor& grad_lse,
                    const at::Tensor& q, const at::Tensor& mask, const at::Tensor& out, const at::Tensor& lse,
                    const MakeBackwardPart& make);

}  // namespace perceive::ops::cpu
