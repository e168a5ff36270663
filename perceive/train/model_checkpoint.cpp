// The list of the best checkpoints.
#include "perceive/train/model_checkpoint.h"

#include <fmt/args.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "perceive/core/error.h"
#include "perceive/core/text.h"

namespace perceive::train {
namespace {

[[noreturn]] void refuse_filename(const std::string& filename, const std::string& why) {
  throw core::ConfigError(
      fmt::format("trainer.checkpoint.filename: cannot make a name of {}: {}", core::in_quotes(filename), why));
}

// Puts "name=" before each {name…} that does not have it yet.
std::string with_names(const std::string& filename, const std::vector<std::string>& names) {
  std::string result;
  for (size_t i = 0; i < filename.size(); ++i) {
    if (filename[i] == '{') {
      const std::string name = filename.substr(i + 1, filename.find_first_of(":}", i) - i - 1);
      if (std::find(names.begin(), names.end(), name) == names.end()) {
        refuse_filename(filename,
                        fmt::format("there is no {}; there are {}", core::in_quotes(name), core::join(names)));
      }
      if (!result.ends_with(name + "=")) result += name + "=";
    }
    result += filename[i];
  }
  return result;
}

}  // namespace

void check(const ModelCheckpointOptions& o) {
  if (o.save_top_k < -1) {
    throw core::ConfigError(fmt::format("trainer.checkpoint.save_top_k: expected -1 or more, got {}", o.save_top_k));
  }
  if (!o.monitor && o.save_top_k > 1) {
    throw core::ConfigError(fmt::format(
        "trainer.checkpoint.save_top_k: expected -1, 0 or 1 where monitor is null and nothing says which is best, "
        "got {}",
        o.save_top_k));
  }
  if (o.filename.empty()) throw core::ConfigError("trainer.checkpoint.filename: expected a name, got none");
  if (o.every_n_train_steps && *o.every_n_train_steps < 1) {
    throw core::ConfigError(
        fmt::format("trainer.checkpoint.every_n_train_steps: expected 1 or more, got {}", *o.every_n_train_steps));
  }
}

std::string checkpoint_name(const std::string& filename, int64_t epoch, int64_t step, const Metrics& metrics) {
  fmt::dynamic_format_arg_store<fmt::format_context> values;
  std::vector<std::string> names{"epoch", "step"};
  values.push_back(fmt::arg("epoch", epoch));
  values.push_back(fmt::arg("step", step));
  for (const auto& [name, value] : metrics) {
    values.push_back(fmt::arg(name.c_str(), value));
    names.push_back(name);
  }
  std::string result;
  try {
    result = fmt::vformat(with_names(filename, names), values);
  } catch (const fmt::format_error& error) {
    refuse_filename(filename, error.what());
  }
  if (result.find('/') != std::string::npos || result.starts_with('.') || result == "last") {
    refuse_filename(filename, core::in_quotes(result) + " is none");
  }
  return result;
}

std::optional<std::string> ModelCheckpoint::offer(int64_t epoch, int64_t step, const Metrics& metrics) {
  if (options_.save_top_k == 0) return std::nullopt;
  const bool by_score = options_.monitor.has_value();
  const double score =
      by_score ? monitored(metrics, *options_.monitor, "trainer.checkpoint.monitor") : static_cast<double>(step);
  if (!std::isfinite(score)) return std::nullopt;

  const auto worse = [&](const Kept& kept) { return by_score ? is_better(score, kept.score) : score > kept.score; };
  const auto place = std::find_if(kept_.begin(), kept_.end(), worse);
  const bool full = options_.save_top_k > 0 && static_cast<int64_t>(kept_.size()) >= options_.save_top_k;
  if (full && place == kept_.end()) return std::nullopt;

  const std::string wanted = checkpoint_name(options_.filename, epoch, step, metrics);
  std::string name = wanted;
  const auto taken = [&] {
    return std::any_of(kept_.begin(), kept_.end(), [&](const Kept& kept) { return kept.name == name; });
  };
  for (int version = 1; taken(); ++version) name = fmt::format("{}-v{}", wanted, version);
  kept_.insert(place, {name, score});
  while (options_.save_top_k > 0 && static_cast<int64_t>(kept_.size()) > options_.save_top_k) {
    displaced_.push_back(kept_.back().name);
    kept_.pop_back();
  }
  return name;
}

std::vector<std::string> ModelCheckpoint::take_displaced() {
  return std::exchange(displaced_, {});
}

std::optional<std::string> ModelCheckpoint::best() const {
  return kept_.empty() ? std::nullopt : std::optional(kept_.front().name);
}

std::optional<double> ModelCheckpoint::best_score() const {
  return kept_.empty() || !options_.monitor ? std::nullopt : std::optional(kept_.front().score);
}

nlohmann::json ModelCheckpoint::state() const {
  nlohmann::json kept = nlohmann::json::array();
  for (const auto& [name, score] : kept_) kept.push_back({{"name", name}, {"score", score}});
  return {{"monitor", options_.monitor.value_or("")}, {"kept", kept}};
}

void ModelCheckpoint::restore(const nlohmann::json& state) {
  kept_.clear();
  // Scores of another metric cannot be compared with: what they stand for stays on the disk, and counts no more.
  if (state.at("monitor") != options_.monitor.value_or("")) return;
  for (const auto& kept : state.at("kept")) kept_.push_back({kept.at("name"), kept.at("score")});
  std::stable_sort(kept_.begin(), kept_.end(), [&](const Kept& a, const Kept& b) {
    return options_.monitor ? is_better(a.score, b.score) : a.score > b.score;
  });
}

double monitored(const Metrics& metrics, const std::string& monitor, const std::string& option) {
  if (const auto found = metrics.find(monitor); found != metrics.end()) return found->second;
  std::vector<std::string> names;
  for (const auto& [name, value] : metrics) names.push_back(name);
  throw core::ConfigError(
      fmt::format("{}: there is no metric {}; there are {}", option, core::in_quotes(monitor), core::join(names)));
}

}  // namespace perceive::train
