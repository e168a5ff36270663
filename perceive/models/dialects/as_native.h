// A dialect's Perceiver as the native class.
#pragma once

#include "perceive/models/model_class.h"
#include "perceive/models/perceiver.h"

namespace perceive::models {

// perceive.Perceiver with these options and tensors. `first_zero_tokens`: every block reads behind the zero tokens of
// the first.
RunnableModel::Native as_native(const PerceiverImpl& model, bool first_zero_tokens = false);

}  // namespace perceive::models
