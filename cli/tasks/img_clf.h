// Image classification: `perceive img_clf`.
#pragma once

#include <memory>

#include "cli/tasks/task.h"

namespace perceive::cli {

std::unique_ptr<Task> img_clf();

}  // namespace perceive::cli
