// What a run says of its attention, as a picture.
#pragma once

#include <string>

#include "perceive/models/model_class.h"

namespace perceive::cli {

// The attention weights among the outputs, [B, H, N, M] each, of the first sample. Throws core::ConfigError where there
// are none.
void draw_attention_weights(const models::Outputs& outputs, const std::string& heading, const std::string& png);

}  // namespace perceive::cli
