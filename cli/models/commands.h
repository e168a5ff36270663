// run, models, inspect, convert: model classes and weights files without a task.
#pragma once

#include <vector>

#include "cli/command.h"

namespace perceive::cli {

std::vector<Command> model_commands();

}  // namespace perceive::cli
