// The classes of linformer-pytorch for configurations and the program.
#pragma once

#include <vector>

#include "perceive/models/model_class.h"

namespace perceive::models::linformer_pytorch {

std::vector<ModelClass> classes();

}  // namespace perceive::models::linformer_pytorch
