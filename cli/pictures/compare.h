// The curves of several runs in one picture: `perceive curves`.
#pragma once

#include <string>
#include <vector>

#include "perceive/core/error.h"

namespace perceive::cli {

std::string curves_details();
core::ExitCode draw_runs(const std::vector<std::string>& words);

}  // namespace perceive::cli
