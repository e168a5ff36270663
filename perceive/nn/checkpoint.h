// Activation checkpointing: a segment of a model keeps its inputs only, and runs again when its gradients are needed.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <vector>

namespace perceive::nn {

using Segment = std::function<at::Tensor(const std::vector<at::Tensor>& inputs)>;

// segment(inputs), with gradients for `inputs` and `parameters` equal to those of a plain call. What the segment
// computes with must be in one of the two lists, or need no gradient. The second run sees the random generators and
// the autocast state of the first, so that dropout drops the same; afterwards both are as they were. Where no gradients
// are recorded, this is a plain call. Double backward is refused.
at::Tensor checkpoint(const Segment& segment, const std::vector<at::Tensor>& inputs,
                      const std::vector<at::Tensor>& parameters);

}  // namespace perceive::nn
