// Causal language models: `perceive clm`.
#pragma once

#include <memory>

#include "cli/tasks/task.h"

namespace perceive::cli {

std::unique_ptr<Task> clm();

}  // namespace perceive::cli
