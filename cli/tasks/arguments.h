// From the words of a command line to the options of a task.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/tasks/task.h"
#include "perceive/core/value.h"

namespace perceive::cli {

struct TaskArguments {
  bool print_config = false;
  bool comments = false;  // in the printed configuration
  PredictRequest predict;
  std::vector<std::string> configuration;  // the rest: --config, --dotted.options
};

// Takes the words that are no configuration out. Only predict has inputs. Throws core::ConfigError.
TaskArguments read_task_arguments(const std::vector<std::string>& words, train::Stage stage);

// Defaults, then the configuration in the checkpoint that the arguments name, then the arguments from left to right;
// then what the data decides.
void configure(Task& task, const std::vector<core::Value>& arguments);

}  // namespace perceive::cli
