// Where a run stands, as its checkpoints remember it.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "perceive/data/loader.h"

namespace perceive::train {

struct Position {
  int64_t epoch = 0;            // the one under way, from 0
  int64_t batch = 0;            // batches of it that are done
  int64_t step = 0;             // steps of the optimizer
  int64_t window = 0;           // batches whose gradients wait for a step
  int64_t all_batches = 0;      // of all epochs
  int64_t validated_at = 0;     // all_batches at the last validation
  bool validation_due = false;  // after these batches, and not done yet
  double seconds = 0;           // of training
};
nlohmann::json to_json(const Position& position);
// Throws nlohmann::json::exception for what is none.
Position position_from(const nlohmann::json& json);

// What the order of the batches depends on.
nlohmann::json describe(const data::Loader& loader);
// Moves a position from loaders described so to `loader`. Throws core::ConfigError where the rest of the epoch would
// not be the same examples; logs what is not the same otherwise.
Position moved_to(const data::Loader& loader, const nlohmann::json& before, Position position);

}  // namespace perceive::train
