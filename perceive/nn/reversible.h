// Residual layers of two streams, whose activations are not kept: the backward pass computes them again from the
// output, the last layer's first (Gomez et al. 2017, The Reversible Residual Network, arXiv 1707.04585).
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <utility>
#include <vector>

namespace perceive::nn {

// What a layer adds to a stream, computed from the other one.
struct ReversiblePart {
  std::function<at::Tensor(const at::Tensor& x)> map;  // to the sizes of x
  std::vector<at::Tensor> parameters;                  // all that `map` computes with and that may need a gradient
};
// y1 = x1 + f(x2), y2 = x2 + g(y1).
struct ReversibleLayer {
  ReversiblePart f, g;
};

// Both streams behind the layers, with gradients for x1, x2, of equal sizes, and the parameters. They differ from those
// of a plain call by the rounding of x2 = y2 - g(y1) and x1 = y1 - f(x2). Whatever the number of layers is, the
// activations of one part are held at a time, and the two streams at the end. Random numbers and autocast are in the
// second run as in the first; afterwards both are as they were. Where no gradients are recorded, this is a plain call.
// Throws c10::ValueError where sizes differ, c10::Error in a second backward pass through its gradients.
std::pair<at::Tensor, at::Tensor> reversible(const std::vector<ReversibleLayer>& layers, const at::Tensor& x1,
                                             const at::Tensor& x2);

}  // namespace perceive::nn
