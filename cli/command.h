// One command of the program.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "perceive/core/error.h"

namespace perceive::cli {

struct Command {
  std::string name;
  std::string help;                      // one line
  std::function<std::string()> details;  // its options, for its --help; may be empty
  // With all tokens behind its name. May be empty where there are commands below.
  std::function<core::ExitCode(const std::vector<std::string>& arguments)> run;
  std::vector<Command> below;
};

}  // namespace perceive::cli
