// The native Linformers for configurations and the program.
#pragma once

#include <vector>

#include "perceive/models/model_class.h"

namespace perceive::models {

std::vector<ModelClass> linformer_classes();

}  // namespace perceive::models
