// Forward and backward of a call on the kernels.
#pragma once

#include <functional>
#include <memory>
#include <tuple>

#include "perceive/ops/cpu/keys.h"
#include "perceive/ops/cpu/lift.h"

namespace perceive::ops::cpu {

using MakeReader = std::function<std::unique_ptr<TileReader>()>;

// q [B, H, N, D] of any floating type but float64. Gives out [B, H, N, Dv] in the type of q, and lse [B, H, N].
std::tuple<at::Tensor, at::Tensor> forward(const Shape& shape, const Plan& plan, const at::Tensor& q,
                                           const at::Tensor& mask, const Absorbed& absorbed, const MakeReader& reader);

// What reads a group's tiles, and what takes their gradients.
struct BackwardGroup {
  std::shared_ptr<TileReader> reader;
  std::shared_ptr<TileGradients> gradients;
};
using MakeBackwardGroup = std::function<BackwardGroup(int64_t group)>;
// Groups are runs of parts that share such a pair, and memory to work in: their number does not grow with the batch.
std::vector<Range> groups_of(const Plan& plan);

struct BackwardInputs {
  at::Tensor grad_out, grad_lse;  // grad_lse may be undefined
  at::Tensor q, mask, out, lse;
  bool input_grad = false;  // absorbed sides hand gradients of their features on, too
};
struct WalkGradients {
  at::Tensor q;           // in the type of q
  at::Tensor key, value;  // of the rows of absorbed factors
};
WalkGradients backward(const Shape& shape, const Plan& plan, const BackwardInputs& inputs, const Absorbed& absorbed,
                       const MakeBackwardGroup& make);

}  // namespace perceive::ops::cpu
