// The learning tasks that the program knows.
#pragma once

#include <vector>

#include "cli/command.h"

namespace perceive::cli {

// One command for each task, with fit, validate, test, predict and tune below it.
std::vector<Command> task_commands();

}  // namespace perceive::cli
