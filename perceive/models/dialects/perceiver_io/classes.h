// The classes of perceiver-io 0.2.1 for configurations and the program.
#pragma once

#include <vector>

#include "perceive/models/model_class.h"

namespace perceive::models::perceiver_io {

std::vector<ModelClass> classes();

}  // namespace perceive::models::perceiver_io
