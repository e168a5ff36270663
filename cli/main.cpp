// The program `perceive`: finds the command, runs it, and turns what goes wrong into a sentence and an exit code.
#include <c10/util/Exception.h>
#include <fmt/format.h>
#include <malloc.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <new>

#include "cli/bench/command.h"
#include "cli/info.h"
#include "cli/libtorch.h"
#include "cli/models/commands.h"
#include "cli/pictures/compare.h"
#include "cli/tasks/tasks.h"
#include "perceive/core/terminal.h"
#include "perceive/core/text.h"
#include "perceive/core/version.h"

namespace {

using perceive::cli::Command;
using perceive::core::ExitCode;

std::vector<Command> commands() {
  auto all = perceive::cli::task_commands();
  for (auto& command : perceive::cli::model_commands()) all.push_back(std::move(command));
  all.push_back(perceive::cli::bench::bench_command());
  all.push_back({"curves",
                 "the curves of several runs in one picture",
                 perceive::cli::curves_details,
                 perceive::cli::draw_runs,
                 {}});
  all.push_back({"info",
                 "version, libtorch, instruction sets, threads and devices of this machine",
                 {},
                 [](const std::vector<std::string>&) {
                   perceive::core::write_all(1, perceive::cli::info());
                   return ExitCode::ok;
                 },
                 {}});
  return all;
}

// Tokens that CLI11 does not know stay in their order for the strict merger: CLI11's own configuration is not used.
void add(CLI::App& parent, const Command& command, std::function<ExitCode()>& chosen) {
  auto* app = parent.add_subcommand(command.name, command.help);
  if (command.details) app->footer(command.details);
  if (!command.below.empty()) {
    app->require_subcommand(1);
    for (const auto& below : command.below) add(*app, below, chosen);
    return;
  }
  if (command.details) app->allow_extras();
  app->callback([app, &command, &chosen] { chosen = [app, &command] { return command.run(app->remaining()); }; });
}

// CLI11 says no more than that a command is missing.
std::string refusal(const CLI::App& app, const std::string& reason) {
  for (const auto* below : app.get_subcommands()) {
    if (!below->remaining().empty() || below->get_require_subcommand_min() > 0) return refusal(*below, reason);
  }
  const auto line = app.get_parent() ? "perceive " + app.get_name() : app.get_name();
  std::vector<std::string> names;
  for (const auto* known : app.get_subcommands([](const CLI::App*) { return true; }))
    names.push_back(known->get_name());
  if (names.empty() || app.remaining().empty()) return fmt::format("{}; see {} --help", reason, line);
  const auto word = app.remaining().front(), near = perceive::core::nearest(word, names);
  return fmt::format("there is no command '{}'{}; {} has {}", word,
                     near.empty() ? "" : ", did you mean '" + near + "'?", line, perceive::core::join(names));
}

ExitCode run(int argc, char** argv) {
  CLI::App app{"Perceiver models over very long inputs: train, test and use them.", "perceive"};
  app.set_version_flag("--version", fmt::format("perceive {}", perceive::core::version()));
  app.require_subcommand(1);
  const auto all = commands();
  std::function<ExitCode()> chosen;
  for (const auto& command : all) add(app, command, chosen);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& wish) {
    app.exit(wish);
    return ExitCode::ok;
  } catch (const CLI::ParseError& error) {
    throw perceive::core::ConfigError(refusal(app, error.what()));
  }
  check(perceive::cli::libtorch());
  return chosen();
}

// Every pass of a model frees the tensors that the next one takes again. What goes back to the system in between comes
// back by page faults, a tenth of a training step of a small model; so this much stays.
void keep_freed_memory() {
  constexpr int kLargestKept = 32 << 20, kKept = 256 << 20;  // bytes of a tensor, and in all
  mallopt(M_MMAP_THRESHOLD, kLargestKept);
  mallopt(M_TRIM_THRESHOLD, kKept);
}

int fail(const char* message, ExitCode code) {
  perceive::core::write_all(2, fmt::format("perceive: {}\n", message));
  return static_cast<int>(code);
}

}  // namespace

int main(int argc, char** argv) {
  // A reader that goes away (`perceive … | head`) must not end a training run; writing then fails and is let be.
  std::signal(SIGPIPE, SIG_IGN);
  keep_freed_memory();
  try {
    return static_cast<int>(run(argc, argv));
  } catch (const perceive::core::Error& error) {
    return fail(error.what(), error.code());
  } catch (const c10::Error& error) {
    return fail(error.what_without_backtrace(), ExitCode::failure);
  } catch (const std::bad_alloc&) {
    return fail("out of memory; a smaller batch or model needs less", ExitCode::failure);
  } catch (const std::exception& error) {
    return fail(error.what(), ExitCode::failure);
  }
}
