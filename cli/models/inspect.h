// `perceive inspect`: what a weights file holds.
#pragma once

#include <string>
#include <vector>

#include "perceive/core/error.h"

namespace perceive::cli {

core::ExitCode inspect_file(const std::vector<std::string>& arguments);

}  // namespace perceive::cli
