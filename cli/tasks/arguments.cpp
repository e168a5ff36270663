// Splits a command line, and merges a task's configuration.
#include "cli/tasks/arguments.h"

#include <fmt/format.h>

#include "perceive/core/config.h"
#include "perceive/core/error.h"
#include "perceive/core/json.h"
#include "perceive/core/number.h"
#include "perceive/io/files.h"
#include "perceive/train/lightning_options.h"
#include "perceive/train/run_folder.h"

namespace perceive::cli {
namespace {

// What the last of `values` says about the option at `path`; null and other things than texts are nothing.
std::optional<std::string> text_at(const std::vector<core::Value>& values, const std::vector<std::string>& path) {
  std::optional<std::string> said;
  for (const auto& value : values) {
    const core::Value* at = &value;
    for (const auto& key : path) {
      const core::Value* below = nullptr;
      for (const auto& entry : at->entries) {
        if (entry.key == key) below = &entry.value;
      }
      at = below;
      if (!at) break;
    }
    if (!at) continue;
    said.reset();
    if (at->kind == core::Value::Kind::scalar && at->text != "null") said = at->text;
  }
  return said;
}

int64_t count_of(const std::string& word, const std::string& flag) {
  int64_t count = 0;
  if (!core::read_number(word, &count).ok || count < 1) {
    throw core::ConfigError(fmt::format("{}: expected a number of at least 1, got '{}'", flag, word));
  }
  return count;
}

}  // namespace

TaskArguments read_task_arguments(const std::vector<std::string>& words, train::Stage stage) {
  TaskArguments arguments;
  const bool predicting = stage == train::Stage::predict;
  for (size_t i = 0; i < words.size(); ++i) {
    const auto& word = words[i];
    const auto equals = word.find('=');
    const auto flag = word.substr(0, equals);
    if (flag == "--print_config") {
      const auto wish = equals == std::string::npos ? "" : word.substr(equals + 1);
      if (!wish.empty() && wish != "comments") {
        throw core::ConfigError(fmt::format("{}: expected --print_config or --print_config=comments", word));
      }
      arguments.print_config = true;
      arguments.comments = !wish.empty();
      continue;
    }
    if (!word.starts_with("--")) {
      (predicting ? arguments.predict.inputs : arguments.configuration).push_back(word);
      continue;
    }
    const bool has_value = equals == std::string::npos && i + 1 < words.size() && !words[i + 1].starts_with("--");
    if (predicting && (flag == "--top_k" || flag == "--output")) {
      const auto value = equals != std::string::npos ? word.substr(equals + 1) : has_value ? words[++i] : "";
      if (flag == "--top_k") {
        arguments.predict.top_k = count_of(value, flag);
      } else {
        if (value.empty()) throw core::ConfigError("--output: expected the name of a file");
        arguments.predict.output = value;
      }
      continue;
    }
    arguments.configuration.push_back(word);
    if (has_value) arguments.configuration.push_back(words[++i]);
  }
  return arguments;
}

void configure(Task& task, const std::vector<core::Value>& arguments) {
  const auto values = train::from_lightning(arguments);
  if (const auto checkpoint = text_at(values, {"ckpt_path"})) {
    const auto root = text_at(values, {"trainer", "default_root_dir"}).value_or(task.run().trainer.default_root_dir);
    const auto name = text_at(values, {"trainer", "name"}).value_or(task.run_name());
    const auto folder = train::find_checkpoint(*checkpoint, std::filesystem::path(root) / name);
    std::error_code error;
    if (std::filesystem::is_directory(folder, error)) {
      const auto file = folder / "state.json";
      const auto state = core::parse_json(io::read_file(file), file.string());
      if (state.contains("config")) core::assign(task.options(), core::value_of(state.at("config"), file.string()));
    }
    // From here on the very checkpoint, whatever other runs begin meanwhile.
    for (const auto& value : values) core::assign(task.options(), value);
    task.run().ckpt_path = folder.string();
  } else {
    for (const auto& value : values) core::assign(task.options(), value);
  }
  task.link();
}

}  // namespace perceive::cli
