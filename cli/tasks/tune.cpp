// The searches of tune, in words, tables and pictures.
#include "cli/tasks/tune.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "cli/pictures/curves.h"
#include "perceive/core/config.h"
#include "perceive/core/log.h"
#include "perceive/core/memory.h"
#include "perceive/core/terminal.h"
#include "perceive/core/text.h"
#include "perceive/io/checkpoint.h"
#include "perceive/io/files.h"
#include "perceive/io/names.h"
#include "perceive/train/run_folder.h"

namespace perceive::cli {
namespace {

namespace fs = std::filesystem;

void say(const std::string& words) {
  core::write_all(1, words + "\n");
}

std::string table(const std::string& header, size_t rows, const auto& row) {
  std::string text = header + "\n";
  for (size_t i = 0; i < rows; ++i) {
    std::vector<std::string> cells;
    for (const double number : row(i)) cells.push_back(core::shortest(number));
    text += core::join(cells, ",") + "\n";
  }
  return text;
}

void write(const train::BatchSizeResult& result, const fs::path& folder) {
  const auto& trials = result.trials;
  io::write_file(folder / "batch_size.csv",
                 table("batch_size,examples_per_second,peak_memory", trials.size(), [&](size_t i) {
                   return std::vector{static_cast<double>(trials[i].batch_size), trials[i].examples_per_second,
                                      trials[i].peak_memory};
                 }));
  auto by_size = trials;
  std::sort(by_size.begin(), by_size.end(), [](auto& a, auto& b) { return a.batch_size < b.batch_size; });
  Series speed{.name = "measured", .markers = true}, memory = speed;
  for (const auto& trial : by_size) {
    speed.x.push_back(static_cast<double>(trial.batch_size));
    speed.y.push_back(trial.examples_per_second);
    memory.y.push_back(trial.peak_memory / 1e9);
  }
  memory.x = speed.x;
  draw_curves({{"Examples a second", {speed}, "batch size", true}, {"Memory, GB", {memory}, "batch size", true}},
              folder / "batch_size.png");
}

void write(const train::LrFindResult& result, const fs::path& folder) {
  io::write_file(folder / "lr_find.csv", table("lr,loss,smoothed_loss", result.lr.size(), [&](size_t i) {
                   return std::vector{result.lr[i], result.loss[i], result.smoothed_loss[i]};
                 }));
  // What the curve is looked at for is lost where it shows how the loss grew in the end.
  auto loss = result.smoothed_loss;
  if (!loss.empty()) {
    const double first = loss[0], best = *std::min_element(loss.begin(), loss.end());
    const double highest = first + std::max(first - best, 0.1 * std::abs(first));
    for (double& value : loss) value = value > highest ? NAN : value;
  }
  Panel panel{"Loss", {{.name = "smoothed", .x = result.lr, .y = loss}}, "learning rate", true};
  if (const auto i = result.suggestion) {
    panel.series.push_back({fmt::format("{:.3g}", result.lr[*i]), {result.lr[*i]}, {result.smoothed_loss[*i]}});
  }
  draw_curves({panel}, folder / "lr_find.png");
}

void report(const train::BatchSizeResult& result) {
  for (const auto& trial : result.trials) {
    say(fmt::format("batch_size {:>6}: {:>10.1f} examples/s, {} at its peak", trial.batch_size,
                    trial.examples_per_second, core::readable_bytes(trial.peak_memory)));
  }
  if (result.largest == 0) throw core::ConfigError("batch size: none fits: " + result.reason);
  const auto fastest = std::max_element(result.trials.begin(), result.trials.end(),
                                        [](auto& a, auto& b) { return a.examples_per_second < b.examples_per_second; });
  say(fmt::format("suggestion: --data.batch_size={} ({}); fastest was {}", result.largest, result.reason,
                  fastest->batch_size));
}

void report(const train::LrFindResult& result) {
  if (!result.suggestion) {
    throw core::NonFiniteError(
        fmt::format("learning rate: the loss broke off after {} steps, too few to see where it falls; give a smaller "
                    "--lr_find_kwargs.min_lr, or more --lr_find_kwargs.num_training",
                    result.lr.size()));
  }
  say(fmt::format("suggestion: --optimizer.lr={:.4g} (where the loss falls fastest, of {} rates from {:.4g} to {:.4g})",
                  result.lr[*result.suggestion], result.lr.size(), result.lr.front(), result.lr.back()));
}

}  // namespace

std::vector<core::Value> take(std::vector<core::Value> arguments, TuneOptions& options) {
  for (auto& argument : arguments) {
    core::Value ours = argument;
    const auto is_ours = [](const auto& entry) {
      return entry.key == "lr_find_kwargs" || entry.key == "scale_batch_size_kwargs";
    };
    std::erase_if(ours.entries, std::not_fn(is_ours));
    std::erase_if(argument.entries, is_ours);
    core::assign(core::reflect(options), ours);
  }
  return arguments;
}

core::ExitCode tune(Task& task, const TuneOptions& options) {
  const auto& run = task.run();
  check(run.trainer);
  check(*run.optimizer);
  check(options.lr_find_kwargs);
  check(options.scale_batch_size_kwargs);
  auto& learner = task.learner();
  if (run.ckpt_path) io::load_into(learner.module(), io::load_model(*run.ckpt_path).model, *run.ckpt_path);
  auto loader = task.data().train();
  if (!loader) throw core::ConfigError("data: there is no part to train with");

  std::optional<train::RunFolder> folder;
  // False where the search was interrupted.
  const auto finish = [&](const auto& result) {
    if (result.interrupted) {
      core::log_warning("interrupted: there is no suggestion");
      return false;
    }
    if (run.trainer.logger) {
      if (!folder) folder = train::RunFolder::create(fs::path(run.trainer.default_root_dir) / task.run_name() / "tune");
      write(result, folder->path());
    }
    report(result);
    return true;
  };
  if (const auto search = run.trainer.auto_scale_batch_size) {
    const auto result = train::scale_batch_size(learner, *loader, *run.optimizer, run.trainer, *search,
                                                options.scale_batch_size_kwargs);
    if (!finish(result)) return core::ExitCode::interrupted;
    auto sized = loader->options();
    sized.batch_size = result.largest;
    loader = loader->with(sized);
  }
  if (run.trainer.auto_lr_find || !run.trainer.auto_scale_batch_size) {
    if (!finish(train::find_lr(learner, *loader, *run.optimizer, run.trainer, options.lr_find_kwargs))) {
      return core::ExitCode::interrupted;
    }
  }
  if (folder) say(fmt::format("tables and curves in {}", folder->path().string()));
  return core::ExitCode::ok;
}

}  // namespace perceive::cli
