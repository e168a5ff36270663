// Positions and loaders in JSON.
#include "perceive/train/position.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "perceive/core/error.h"
#include "perceive/core/log.h"

namespace perceive::train {

nlohmann::json to_json(const Position& p) {
  return {{"epoch", p.epoch},
          {"batch", p.batch},
          {"step", p.step},
          {"window", p.window},
          {"all_batches", p.all_batches},
          {"validated_at", p.validated_at},
          {"validation_due", p.validation_due},
          {"seconds", p.seconds}};
}

Position position_from(const nlohmann::json& json) {
  return {.epoch = json.at("epoch"),
          .batch = json.at("batch"),
          .step = json.at("step"),
          .window = json.at("window"),
          .all_batches = json.at("all_batches"),
          .validated_at = json.at("validated_at"),
          .validation_due = json.at("validation_due"),
          .seconds = json.at("seconds")};
}

nlohmann::json describe(const data::Loader& loader) {
  const auto& o = loader.options();
  return {{"examples", loader.dataset().size()},
          {"batch_size", o.batch_size},
          {"shuffle", o.shuffle},
          {"drop_last", o.drop_last},
          {"seed", o.seed}};
}

Position moved_to(const data::Loader& loader, const nlohmann::json& before, Position position) {
  const nlohmann::json now = describe(loader);
  std::string changes;
  bool same_order = true;
  for (const char* key : {"examples", "batch_size", "shuffle", "drop_last", "seed"}) {
    if (before.at(key) == now.at(key)) continue;
    changes += fmt::format("{}{} {} instead of {}", changes.empty() ? "" : ", ", key, now.at(key).dump(),
                           before.at(key).dump());
    const bool matters = std::string(key) != "batch_size" && std::string(key) != "drop_last";
    same_order = same_order && !matters;
  }
  if (changes.empty()) return position;
  const int64_t size = loader.options().batch_size;
  const int64_t seen = position.batch * before.at("batch_size").get<int64_t>();
  if (position.batch > 0 && (!same_order || position.window > 0 || seen % size != 0)) {
    throw core::ConfigError(
        fmt::format("cannot resume in the middle of epoch {} (after {} batches) with {}: give the values of before, or "
                    "resume from the end of an epoch",
                    position.epoch, position.batch, changes));
  }
  position.batch = seen / size;
  core::log_warning(
      fmt::format("resumed with {}: the batches to come are others than without the interruption", changes));
  return position;
}

}  // namespace perceive::train
