// All that a run depends on, to the disk and back.
#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>

#include "perceive/core/error.h"
#include "perceive/core/log.h"
#include "perceive/core/progress.h"
#include "perceive/io/files.h"
#include "perceive/io/names.h"
#include "perceive/train/fit.h"
#include "perceive/train/gradients.h"
#include "perceive/train/random.h"

namespace perceive::train {
namespace {

namespace fs = std::filesystem;

constexpr const char* kRandom = "random";

void put(io::Tensors& into, const std::string& group, const io::Tensors& tensors) {
  for (const auto& [name, tensor] : tensors) into[group + "/" + name] = tensor;
}

io::Tensors take(const io::Tensors& from, const std::string& group) {
  io::Tensors tensors;
  const std::string prefix = group + "/";
  for (auto i = from.lower_bound(prefix); i != from.end() && i->first.starts_with(prefix); ++i) {
    tensors[i->first.substr(prefix.size())] = i->second;
  }
  return tensors;
}

// Renamed first, so that there is never half a checkpoint under its name.
void remove_checkpoint(const fs::path& folder) {
  std::error_code error;
  const fs::path away = io::temporary_beside(folder);
  fs::rename(folder, away, error);
  if (!error) fs::remove_all(away, error);
}

}  // namespace

void Fit::save(int64_t epoch, bool is_final) {
  if (!options_.enable_checkpointing) return;
  if (const auto name = non_finite_parameter(optimizer_.parameters()); !name.empty()) {
    throw core::NonFiniteError(
        fmt::format("parameter '{}' is not finite {}, and nothing was saved{}", name, where(at_.step), advice()));
  }
  const auto& o = best_.options();
  const bool is_newest = !o.monitor && at_.batch == 0;
  const bool judged = o.monitor && validated_since_save_ && metrics_.contains(*o.monitor);
  const ModelCheckpoint before = best_;
  try {
    const auto name = is_newest || judged ? best_.offer(epoch, at_.step, metrics_) : std::nullopt;
    if (name) io::save_checkpoint(folder_->checkpoints() / *name, checkpoint());
    if (o.save_last || is_final) io::save_checkpoint(path_of_last(), checkpoint());
    for (const auto& displaced : best_.take_displaced()) remove_checkpoint(folder_->checkpoints() / displaced);
    validated_since_save_ = false;
    changed_since_save_ = !o.save_last && !is_final;
  } catch (const core::FileError& error) {
    best_ = before;
    if (is_final) throw;
    core::log_error(
        fmt::format("no checkpoint was saved at step {}, and training goes on: {}", at_.step, error.what()));
  }
}

io::Checkpoint Fit::checkpoint() const {
  io::Checkpoint checkpoint;
  checkpoint.model = io::distinct_tensors(module_);

  put(checkpoint.trainer, "optimizer", optimizer_.state());
  io::Tensors gradients, metrics;
  for (const auto& [name, tensor] : optimizer_.parameters()) {
    if (at_.window > 0 && tensor.grad().defined()) gradients[name] = tensor.grad();
  }
  put(checkpoint.trainer, "gradient", gradients);
  put(checkpoint.trainer, "window", window_.state());
  for (const auto& [name, value] : metrics_) metrics[name] = at::scalar_tensor(value, at::kDouble);
  put(checkpoint.trainer, "metric", metrics);
  checkpoint.trainer[kRandom] = random_state();

  Position position = at_;
  position.seconds += core::seconds_now() - started_at_;
  checkpoint.state = {{"position", to_json(position)},
                      {"name", info_.name},
                      {"optimizer", optimizer_.name()},
                      {"schedule", schedule_.state()},
                      {"checkpoint", best_.state()},
                      {"loader", describe(*train_)},
                      {"batches", batches_},
                      {"accumulate_grad_batches", options_.accumulate_grad_batches},
                      {"data", data_fingerprint_},
                      {"config", info_.config}};
  if (early_stopping_) checkpoint.state["early_stopping"] = early_stopping_->state();
  return checkpoint;
}

void Fit::restore(const io::Checkpoint& checkpoint, const fs::path& from) {
  const std::string origin = from.string();
  const auto& state = checkpoint.state;
  try {
    tell_differences(state.at("config"));
    if (state.at("data") != data_fingerprint_) {
      core::log_warning(fmt::format("the data is not what it was when {} was saved: {} instead of {}", origin,
                                    data_fingerprint_, state.at("data").get<std::string>()));
    }
    if (state.at("optimizer") != optimizer_.name()) {
      throw core::ConfigError(
          fmt::format("optimizer: {} was made with {}, this run has {}; resume with the same, or "
                      "begin a new run from its weights",
                      origin, state.at("optimizer").get<std::string>(), optimizer_.name()));
    }
    for (const auto& notice : io::load_into(module_, checkpoint.model, origin)) core::log_warning(notice);

    at_ = moved_to(*train_, state.at("loader"), position_from(state.at("position")));
    const int64_t accumulate = state.at("accumulate_grad_batches");
    if (at_.window > 0 && (accumulate != options_.accumulate_grad_batches || state.at("batches") != batches_)) {
      throw core::ConfigError(
          fmt::format("trainer.accumulate_grad_batches: {} was saved after {} of {} batches of a step; give the same "
                      "number, and as many batches in an epoch, or resume from the end of an epoch",
                      origin, at_.window, accumulate));
    }
    if (at_.batch > batches_) {
      throw core::ConfigError(
          fmt::format("trainer.limit_train_batches: {} was saved after {} batches of its epoch, which "
                      "has {} now",
                      origin, at_.batch, batches_));
    }
    if (at_.validation_due && !validation_) at_.validation_due = false;

    optimizer_.restore(take(checkpoint.trainer, "optimizer"), origin);
    const auto gradients = take(checkpoint.trainer, "gradient");
    for (const auto& [name, tensor] : optimizer_.parameters()) {
      const auto found = gradients.find(name);
      if (found == gradients.end()) continue;
      if (found->second.sizes() != tensor.sizes()) throw core::FileError(origin + ": the gradient of " + name);
      at::Tensor parameter = tensor;
      parameter.mutable_grad() = found->second.clone();
    }
    window_.restore(take(checkpoint.trainer, "window"));
    for (const auto& [name, value] : take(checkpoint.trainer, "metric")) metrics_[name] = value.item<double>();

    schedule_.restore(state.at("schedule"));
    best_.restore(state.at("checkpoint"));
    if (early_stopping_ && state.contains("early_stopping")) early_stopping_->restore(state["early_stopping"]);
    const auto random = checkpoint.trainer.find(kRandom);
    if (random == checkpoint.trainer.end()) throw core::FileError(origin + " has no state of the random generator");
    set_random_state(random->second);
  } catch (const nlohmann::json::exception& error) {
    throw core::FileError(fmt::format("{} is not a checkpoint of a training run: {}", origin, error.what()));
  }
  core::log_info(fmt::format("resumed from {}: epoch {}, batch {}, step {}", origin, at_.epoch, at_.batch, at_.step));
}

void Fit::tell_differences(const nlohmann::json& before) const {
  const auto old_values = before.flatten(), new_values = info_.config.flatten();
  const auto tell = [](std::string path, const std::string& what) {
    std::replace(path.begin(), path.end(), '/', '.');
    core::log_warning(fmt::format("resumed with another option: {} {}", path.substr(1), what));
  };
  for (const auto& [path, value] : new_values.items()) {
    if (!old_values.contains(path)) {
      tell(path, fmt::format("is {}, and was not there", value.dump()));
    } else if (old_values[path] != value) {
      tell(path, fmt::format("is {}, and was {}", value.dump(), old_values[path].dump()));
    }
  }
  for (const auto& [path, value] : old_values.items()) {
    if (!new_values.contains(path)) tell(path, fmt::format("is not there, and was {}", value.dump()));
  }
}

}  // namespace perceive::train
