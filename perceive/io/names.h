// The names of a module's parameters and buffers, and moving values in by name.
#pragma once

#include <torch/nn/module.h>

#include <string>
#include <vector>

#include "perceive/io/tensors.h"

namespace perceive::io {

// Parameters and buffers under every name they have, as Python's state_dict lists them.
Tensors named_tensors(const torch::nn::Module& module);
// Each distinct tensor once, under its first name. What checkpoints hold.
Tensors distinct_tensors(const torch::nn::Module& module);
// Each distinct parameter once, in registration order: what an optimizer steps (Module::parameters() repeats shared
// ones).
std::vector<at::Tensor> distinct_parameters(const torch::nn::Module& module);

// Of a state dict whose names all begin with `model.`, as Lightning's where that is the module's attribute: the names
// behind it. Any other as it is.
Tensors without_wrapper(Tensors tensors);

// Copies `tensors` into the module, which may name a shared tensor once or under every name. Throws core::FileError
// that lists every missing, unexpected, misshapen or otherwise unusable name, said to come from `origin`; the module is
// then as it was. Values of another dtype are converted, where the kinds allow it (float to float, never float to int);
// returns a line for the user on each pair of dtypes converted.
std::vector<std::string> load_into(torch::nn::Module& module, const Tensors& tensors, const std::string& origin);

}  // namespace perceive::io
