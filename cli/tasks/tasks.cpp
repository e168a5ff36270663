// The list of tasks: the one place that a new task is added to.
#include "cli/tasks/tasks.h"

#include "cli/tasks/clm.h"
#include "cli/tasks/img_clf.h"
#include "cli/tasks/mlm.h"
#include "cli/tasks/run.h"
#include "cli/tasks/seq_clf.h"

namespace perceive::cli {

std::vector<Command> task_commands() {
  return {task_command("image classification: Perceiver IO on MNIST, Fashion-MNIST and CIFAR-10", img_clf),
          task_command("text classification, from the start or on a pretrained encoder", seq_clf),
          task_command("masked language models on IMDb and on text of your own", mlm),
          task_command("causal language models: Linformers that tell the next token", clm)};
}

}  // namespace perceive::cli
