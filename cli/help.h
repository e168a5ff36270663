// The part of a --help that lists a configuration.
#pragma once

#include <string>
#include <vector>

#include "perceive/core/options.h"

namespace perceive::cli {

// Every option with its default, type and meaning, grouped by the first part of its name and by class.
std::string options_help(const std::vector<core::OptionLine>& lines);
std::string options_help(core::OptionRef options);

}  // namespace perceive::cli
