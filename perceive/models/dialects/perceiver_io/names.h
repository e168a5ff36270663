// Parameter names of perceiver-io 0.2.1 for the native model.
#pragma once

#include <string>
#include <vector>

#include "perceive/models/dialects/renamed.h"

namespace perceive::models::perceiver_io {

// Of a models::PerceiverIO, in the order of the original's state_dict. `encoder` and `decoder` are what stands before
// the names of each: "0." and "1." in classifiers.
std::vector<Name> names_of(const torch::nn::Module& model, const std::string& encoder, const std::string& decoder);

}  // namespace perceive::models::perceiver_io
