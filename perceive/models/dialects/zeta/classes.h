// The classes of zeta for configurations and the program.
#pragma once

#include <vector>

#include "perceive/models/model_class.h"

namespace perceive::models::zeta {

std::vector<ModelClass> classes();

}  // namespace perceive::models::zeta
