// Classification of texts: `perceive seq_clf`.
#pragma once

#include <memory>

#include "cli/tasks/task.h"

namespace perceive::cli {

std::unique_ptr<Task> seq_clf();

}  // namespace perceive::cli
