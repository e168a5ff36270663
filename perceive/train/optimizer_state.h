// The state of an optimizer as tensors named "<parameter>/<field>".
#pragma once

#include <vector>

#include "perceive/io/tensors.h"
#include "perceive/train/optimizer.h"

namespace perceive::train {

// Everything that the next steps depend on, of the parameters that have been stepped.
io::Tensors state_of(torch::optim::Optimizer& optimizer, const std::vector<NamedParameter>& parameters);
// Throws core::FileError where the tensors are not those of this optimizer.
void restore_state(torch::optim::Optimizer& optimizer, const std::vector<NamedParameter>& parameters,
                   const io::Tensors& state);

}  // namespace perceive::train
