// A training step on copies.
#include "perceive/train/rehearsal.h"

#include <ATen/ATen.h>

#include <cmath>

#include "perceive/core/error.h"
#include "perceive/io/names.h"
#include "perceive/train/evaluation.h"
#include "perceive/train/gradients.h"

namespace perceive::train {

KeepModule::KeepModule(torch::nn::Module& module) : module_(module), was_training_(module.is_training()) {
  for (const auto& [name, tensor] : io::distinct_tensors(module)) {
    kept_.push_back({tensor, tensor.detach(), tensor.grad()});
    auto& live = kept_.back().tensor;
    live.mutable_grad() = at::Tensor();
    live.set_data(kept_.back().values.clone());
  }
}

KeepModule::~KeepModule() {
  for (auto& kept : kept_) {
    kept.tensor.mutable_grad() = at::Tensor();
    kept.tensor.set_data(kept.values);
    kept.tensor.mutable_grad() = kept.gradient;
  }
  module_.train(was_training_);
}

Rehearsal::Rehearsal(Learner& learner, data::Loader& loader, const OptimizerOptions& optimizer,
                     const TrainerOptions& options)
    : module_(learner.module()),
      learner_(learner),
      loader_(loader),
      options_(options),
      optimizer_(optimizer, in_precision(learner.module(), options.precision)) {
  check(options_);
  learner_.module().train();
  loader_.start(epoch_);
}

data::Batch Rehearsal::next_batch() {
  auto batch = loader_.next();
  if (!batch) {
    loader_.start(++epoch_);
    batch = loader_.next();
  }
  if (!batch) throw core::DataError("the data to train with has no batch");
  return in_precision(std::move(*batch), options_.precision);
}

double Rehearsal::step(double lr, int64_t batches) {
  double loss = 0;
  data::Batch batch;
  const auto add_gradients = [&](int64_t parts) {
    const at::Tensor output = forward(learner_, batch, options_.precision).loss;
    (output / static_cast<double>(parts)).backward();
    return output.detach();
  };
  const auto clip = [&] {
    if (!options_.gradient_clip_val) return;
    clip_gradients(optimizer_.parameters(), *options_.gradient_clip_val, options_.gradient_clip_algorithm);
  };
  optimizer_.zero_grad();
  for (int64_t i = 0; i < batches; ++i) {
    batch = next_batch();
    loss += add_gradients(batches).item<double>() / static_cast<double>(batches);
  }
  if (!std::isfinite(loss)) return loss;
  clip();
  optimizer_.set_lr(lr);
  optimizer_.step([&] {
    optimizer_.zero_grad();
    const at::Tensor again = add_gradients(1);
    clip();
    return again;
  });
  return loss;
}

}  // namespace perceive::train
