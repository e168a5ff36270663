// The list of tasks: the one place that a new task is added to.
#include "cli/tasks/tasks.h"

#include "cli/tasks/img_clf.h"
#include "cli/tasks/run.h"

namespace perceive::cli {

std::vector<Command> task_commands() {
  return {task_command("image classification: Perceiver IO on MNIST and Fashion-MNIST", img_clf)};
}

}  // namespace perceive::cli
