// `perceive bench models`: models over lengths and kinds of passes, each measurement in a process of its own; and
// `perceive bench model`, which is such a process.
#pragma once

#include "cli/command.h"

namespace perceive::cli::bench {

Command models_command();
Command model_command();

}  // namespace perceive::cli::bench
