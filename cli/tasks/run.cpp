// fit, validate, test, predict and tune of any task.
#include "cli/tasks/run.h"

#include <ATen/Context.h>
#include <fmt/format.h>

#include <random>

#include "cli/help.h"
#include "cli/pictures/curves.h"
#include "cli/tasks/arguments.h"
#include "cli/tasks/tune.h"
#include "perceive/core/config.h"
#include "perceive/core/log.h"
#include "perceive/core/terminal.h"
#include "perceive/core/text.h"

namespace perceive::cli {
namespace {

namespace fs = std::filesystem;
using core::ExitCode;
using train::Stage;

void say(const std::string& words) {
  core::write_all(1, words + "\n");
}

// Every random number of libtorch follows from here on from the seed that the configuration names.
void seed(RunOptions& run) {
  if (!run.seed_everything) run.seed_everything = std::random_device{}();
  at::manual_seed(static_cast<uint64_t>(*run.seed_everything));
}

// The configuration as the run's folder and checkpoints keep it: where it came from is no part of what was run.
train::RunInfo info_of(Task& task) {
  const auto ckpt_path = std::exchange(task.run().ckpt_path, std::nullopt);
  train::RunInfo info{task.run_name(), core::to_yaml(task.options()), core::to_json(task.options())};
  task.run().ckpt_path = ckpt_path;
  return info;
}

// The folder of the run that a checkpoint lies in, or nothing.
std::optional<fs::path> run_folder_of(const fs::path& checkpoint) {
  if (checkpoint.empty()) return std::nullopt;  // another program's
  auto folder = checkpoint.lexically_normal().parent_path().parent_path();
  if (folder.empty()) folder = fs::absolute(checkpoint).lexically_normal().parent_path().parent_path();
  std::error_code error;
  return fs::exists(folder / "config.yaml", error) ? std::optional(folder) : std::nullopt;
}

// A picture that cannot be drawn is no reason to fail after hours of training.
std::vector<std::string> draw(Task& task, const fs::path& folder, bool curves) {
  std::vector<std::string> names;
  const auto attempt = [&](const auto& picture) {
    try {
      for (const fs::path& file : picture()) names.push_back(file.filename().string());
    } catch (const core::Error& error) {
      core::log_warning(error.what());
    }
  };
  std::error_code error;
  if (curves && fs::exists(folder / "metrics.csv", error)) {
    attempt([&] {
      draw_curves(panels_of(folder / "metrics.csv"), folder / "curves.png");
      return std::vector{folder / "curves.png"};
    });
  }
  attempt([&] { return task.draw(folder); });
  return names;
}

void report(const train::Metrics& metrics, const fs::path& folder, const std::vector<std::string>& pictures) {
  auto words = train::text(metrics);
  if (!folder.empty()) words += fmt::format("{}in {}", words.empty() ? "" : " ", folder.string());
  if (!pictures.empty()) words += fmt::format(" with {}", core::join(pictures));
  if (!words.empty()) say(words);
}

void require(bool given, const std::string& message) {
  if (!given) throw core::ConfigError(message);
}

void require_optimizer(const RunOptions& run) {
  require(run.optimizer.has_value(),
          "optimizer: none was chosen; give one, for instance --optimizer=AdamW "
          "--optimizer.lr=1e-3");
}

ExitCode fit(Task& task) {
  auto& run = task.run();
  require_optimizer(run);
  require(!run.trainer.auto_lr_find && !run.trainer.auto_scale_batch_size,
          fmt::format("trainer.{}: fit does not search; call `perceive {} tune`, and give fit what it suggests",
                      run.trainer.auto_lr_find ? "auto_lr_find" : "auto_scale_batch_size", task.name()));
  seed(run);
  train::Trainer trainer(run.trainer, info_of(task));
  const auto result =
      trainer.fit(task.learner(), task.data(), *run.optimizer, run.lr_scheduler, run.ckpt_path.value_or(""));
  if (result.reason == train::StopReason::interrupted) {
    if (result.last_checkpoint.empty()) return ExitCode::interrupted;
    say(fmt::format("interrupted and saved; go on with --ckpt_path={}", result.last_checkpoint.string()));
    return ExitCode::saved;
  }
  report(result.metrics, result.folder,
         result.folder.empty() ? std::vector<std::string>{} : draw(task, result.folder, /*curves=*/true));
  return ExitCode::ok;
}

ExitCode evaluate(Task& task, Stage stage) {
  train::Trainer trainer(task.run().trainer, info_of(task));
  const bool testing = stage == Stage::test;
  const auto result = testing ? trainer.test(task.learner(), task.data(), *task.run().ckpt_path)
                              : trainer.validate(task.learner(), task.data(), *task.run().ckpt_path);
  const auto folder = run_folder_of(result.checkpoint);
  report(result.metrics, folder.value_or(""),
         testing && folder ? draw(task, *folder, false) : std::vector<std::string>{});
  return ExitCode::ok;
}

ExitCode predict(Task& task, const PredictRequest& request) {
  train::Trainer trainer(task.run().trainer, info_of(task));
  const fs::path checkpoint = *task.run().ckpt_path;
  task.predict(trainer, request, checkpoint,
               request.output.value_or(run_folder_of(checkpoint).value_or(".") / "predictions.csv"));
  return ExitCode::ok;
}

ExitCode run(Task& task, Stage stage, const std::vector<std::string>& words) {
  const auto arguments = read_task_arguments(words, stage);
  configure(task, core::read_arguments(arguments.configuration));
  if (arguments.print_config) {
    core::write_all(1, core::to_yaml(task.options(), arguments.comments));
    return ExitCode::ok;
  }
  require(stage == Stage::fit || task.run().ckpt_path.has_value(),
          "ckpt_path: none was given; name a checkpoint or a run's folder, for instance --ckpt_path=last");
  switch (stage) {
    case Stage::fit:
      return fit(task);
    case Stage::predict:
      return predict(task, arguments.predict);
    default:
      return evaluate(task, stage);
  }
}

ExitCode run_tune(Task& task, const std::vector<std::string>& words) {
  const auto arguments = read_task_arguments(words, Stage::fit);
  TuneOptions options;
  configure(task, take(core::read_arguments(arguments.configuration), options));
  if (arguments.print_config) {
    core::write_all(1, core::to_yaml(task.options(), arguments.comments) + core::to_yaml(options, arguments.comments));
    return ExitCode::ok;
  }
  require_optimizer(task.run());
  seed(task.run());
  return tune(task, options);
}

std::string details(const std::function<std::unique_ptr<Task>()>& make, Stage stage) {
  std::string text;
  if (stage == Stage::predict) {
    text +=
        "Behind the options: files and folders to predict, - for the lines of standard input; none: the test set.\n"
        "  --top_k=N        answers to each\n"
        "  --output=FILE    default: predictions.csv in the run's folder\n";
  }
  text += stage == Stage::fit
              ? "With --ckpt_path the run of that checkpoint goes on, with its configuration.\n"
              : "The configuration of the checkpoint that --ckpt_path names is where this one starts from.\n";
  text += "  --print_config   print the configuration and end; --print_config=comments: with its meaning\n";
  return text + options_help(make()->options());
}

std::string tune_details(const std::function<std::unique_ptr<Task>()>& make) {
  auto lines = core::list_options(make()->options());
  for (auto& line : core::list_options(TuneOptions{})) lines.push_back(std::move(line));
  return "Searches for --optimizer.lr, and with --trainer.auto_scale_batch_size=power or binsearch for "
         "--data.batch_size;\n"
         "for both with --trainer.auto_lr_find too. Nothing is trained: parameters are as before.\n"
         "  --print_config   print the configuration and end; --print_config=comments: with its meaning\n" +
         options_help(lines);
}

}  // namespace

Command task_command(const std::string& help, std::function<std::unique_ptr<Task>()> make) {
  Command command{make()->name(), help, {}, {}, {}};
  for (const auto& [stage, name, meaning] :
       {std::tuple{Stage::fit, "fit", "train, from the start or from a checkpoint"},
        std::tuple{Stage::validate, "validate", "loss and metrics of a checkpoint on the validation set"},
        std::tuple{Stage::test, "test", "loss and metrics of a checkpoint on the test set, and pictures"},
        std::tuple{Stage::predict, "predict", "what a checkpoint says of files, folders, or the test set"}}) {
    command.below.push_back(
        {name,
         meaning,
         [make, stage = stage] { return details(make, stage); },
         [make, stage = stage](const std::vector<std::string>& words) { return run(*make(), stage, words); },
         {}});
  }
  command.below.push_back({"tune",
                           "find a learning rate or a batch size to train with",
                           [make] { return tune_details(make); },
                           [make](const std::vector<std::string>& words) { return run_tune(*make(), words); },
                           {}});
  return command;
}

}  // namespace perceive::cli
