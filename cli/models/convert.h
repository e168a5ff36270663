// `perceive convert`: weights into another format or another code base's names.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "perceive/core/error.h"

namespace perceive::cli {

core::ExitCode convert_file(const std::vector<std::string>& arguments);
std::string convert_help();

}  // namespace perceive::cli
