// From a batch to gradients, and from gradients to a step.
#include <ATen/ATen.h>
#include <fmt/format.h>

#include <cmath>

#include "perceive/core/error.h"
#include "perceive/core/text.h"
#include "perceive/train/fit.h"
#include "perceive/train/gradients.h"

namespace perceive::train {
namespace {

// The first tensor of the batch with a NaN or an infinity, and the example that has it; "" where there is none.
std::string non_finite_input(const data::Batch& batch) {
  for (const auto& [name, tensor] : batch) {
    if (!tensor.is_floating_point() || tensor.dim() == 0) continue;
    const at::Tensor wrong = at::isfinite(tensor).logical_not().nonzero();
    if (wrong.size(0) > 0) return fmt::format("'{}' of example {} of the batch", name, wrong[0][0].item<int64_t>());
  }
  return {};
}

}  // namespace

void Fit::train_batch(const data::Batch& batch) {
  // The last window of an epoch may be shorter; its mean is over the batches that it has.
  const int64_t begin = at_.batch - at_.window;
  const int64_t window = std::min(options_.accumulate_grad_batches, batches_ - begin);
  compute_gradients(batch, window, &window_);
  ++at_.batch;
  ++at_.window;
  ++at_.all_batches;
  changed_since_save_ = true;
  for (const auto& [name, value] : window_.values("train_")) metrics_[name] = value;
  if (at_.window == window) step(batch);
}

at::Tensor Fit::compute_gradients(const data::Batch& batch, int64_t parts, Means* means) {
  const StepOutput output = forward(learner_, batch, options_.precision);
  const auto loss = output.loss.item<double>();
  if (!std::isfinite(loss)) refuse_loss(loss, output.loss, batch);
  (output.loss / static_cast<double>(parts)).backward();
  if (means) means->add(output);
  return output.loss.detach();
}

void Fit::step(const data::Batch& last_batch) {
  const Rates rates = schedule_.rates();
  optimizer_.set_lr(rates.lr);
  if (rates.momentum) optimizer_.set_momentum(*rates.momentum);

  const auto clip = [&] {
    if (!options_.gradient_clip_val) return;
    const double norm =
        clip_gradients(optimizer_.parameters(), *options_.gradient_clip_val, options_.gradient_clip_algorithm);
    if (std::isfinite(norm)) return;
    throw core::NonFiniteError(fmt::format("the norm of the gradients is {} {}: that of '{}' is not finite{}",
                                           core::shortest(norm), where(at_.step + 1),
                                           non_finite_gradient(optimizer_.parameters()), advice()));
  };
  clip();
  optimizer_.step([&] {
    optimizer_.zero_grad();
    const at::Tensor loss = compute_gradients(last_batch, 1, nullptr);
    clip();
    return loss;
  });
  optimizer_.zero_grad();
  ++at_.step;
  at_.window = 0;
  if (schedule_.interval() == Interval::step) schedule_.advance();

  if (at_.step % options_.log_every_n_steps == 0) {
    Metrics row = window_.values("train_");
    row["lr-" + optimizer_.name()] = rates.lr;
    log(row);
  }
  window_.clear();
  const auto& every = best_.options().every_n_train_steps;
  // A validation saves too, and knows more.
  if (every && at_.step % *every == 0 && at_.batch < batches_ && !validation_follows()) {
    save(at_.epoch, /*is_final=*/false);
  }
}

void Fit::refuse_loss(double loss, const at::Tensor& loss_tensor, const data::Batch& batch) const {
  std::string reason;
  if (const auto input = non_finite_input(batch); !input.empty()) {
    reason = input + " is not finite";
  } else if (const auto name = non_finite_parameter(optimizer_.parameters()); !name.empty()) {
    reason = fmt::format("parameter '{}' is not finite", name);
  } else {
    if (loss_tensor.requires_grad()) loss_tensor.backward();
    const auto gradient = non_finite_gradient(optimizer_.parameters());
    reason = gradient.empty() ? "the batch, all parameters and their gradients are finite"
                              : fmt::format("the gradient of '{}' is not finite", gradient);
  }
  throw core::NonFiniteError(
      fmt::format("the loss is {} {}: {}{}", core::shortest(loss), where(at_.step + 1), reason, advice()));
}

std::string Fit::where(int64_t step) const {
  return fmt::format("at step {} (epoch {}, batch {}) with lr {:.6g}", step, at_.epoch, at_.batch,
                     schedule_.rates().lr);
}

std::string Fit::advice() const {
  std::string text = "; a lower learning rate or trainer.gradient_clip_val may help";
  std::error_code error;
  if (folder_ && std::filesystem::exists(path_of_last(), error)) {
    text += fmt::format("; the last good state is {}", path_of_last().string());
  }
  return text;
}

}  // namespace perceive::train
