// Runs a task from the words of its command line.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "cli/command.h"
#include "cli/tasks/task.h"

namespace perceive::cli {

// The command of a task, with fit, validate, test, predict and tune below it.
Command task_command(const std::string& help, std::function<std::unique_ptr<Task>()> make);

}  // namespace perceive::cli
