// Limits on gradients, and the search for numbers that are none.
#pragma once

#include <string>
#include <vector>

#include "perceive/train/learner.h"
#include "perceive/train/optimizer.h"
#include "perceive/train/trainer_options.h"

namespace perceive::train {

// What the learner makes of a batch, computed in that precision. Its loss is one number.
StepOutput forward(Learner& learner, const data::Batch& batch, Precision precision);

// As torch.nn.utils.clip_grad_norm_ and clip_grad_value_. Returns the norm of all gradients before (norm only, else 0).
double clip_gradients(const std::vector<NamedParameter>& parameters, double limit, ClipAlgorithm algorithm);

// The first parameter with a NaN or an infinity, or "".
std::string non_finite_parameter(const std::vector<NamedParameter>& parameters);
// The same of the gradients.
std::string non_finite_gradient(const std::vector<NamedParameter>& parameters);

}  // namespace perceive::train
