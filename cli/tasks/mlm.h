// Masked language models: `perceive mlm`.
#pragma once

#include <memory>

#include "cli/tasks/task.h"

namespace perceive::cli {

std::unique_ptr<Task> mlm();

}  // namespace perceive::cli
