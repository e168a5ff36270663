// The classes of linformer for configurations and the program.
#pragma once

#include <vector>

#include "perceive/models/model_class.h"

namespace perceive::models::linformer {

std::vector<ModelClass> classes();

}  // namespace perceive::models::linformer
