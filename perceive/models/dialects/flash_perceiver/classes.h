// The classes of flash-perceiver for configurations and the program.
#pragma once

#include <vector>

#include "perceive/models/model_class.h"

namespace perceive::models::flash_perceiver {

std::vector<ModelClass> classes();

}  // namespace perceive::models::flash_perceiver
