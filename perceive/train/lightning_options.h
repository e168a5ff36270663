// Command lines and config.yaml files of Lightning 1.6, in the words of our options.
#pragma once

#include <vector>

#include "perceive/core/value.h"

namespace perceive::train {

// The arguments without what changes nothing here (trainer.strategy=ddp on one device, optimizer.foreach), with null in
// its meaning for Lightning, and with trainer.callbacks as trainer.checkpoint and trainer.early_stopping. Throws
// core::ConfigError, with the reason and what to say instead, for what of the options of its Trainer and of torch's
// optimizers and schedules cannot be had.
std::vector<core::Value> from_lightning(std::vector<core::Value> arguments);

}  // namespace perceive::train
