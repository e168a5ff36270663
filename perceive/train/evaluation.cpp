// The loop that validation, test and prediction share.
#include "perceive/train/evaluation.h"

#include <ATen/ATen.h>

#include "perceive/core/error.h"
#include "perceive/core/progress.h"
#include "perceive/train/autocast.h"

namespace perceive::train {

torch::nn::Module& in_precision(torch::nn::Module& module, Precision precision) {
  if (precision == Precision::fp64) module.to(at::kDouble);
  return module;
}

data::Batch in_precision(data::Batch batch, Precision precision) {
  if (precision != Precision::fp64) return batch;
  for (auto& [name, tensor] : batch) {
    if (tensor.is_floating_point()) tensor = tensor.to(at::kDouble);
  }
  return batch;
}

bool for_each_batch(Learner& learner, data::Loader& loader, const EvaluationOptions& options,
                    const std::function<void(const data::Batch&)>& use) {
  const at::NoGradGuard no_grad;
  const EvaluationMode evaluation(learner.module());
  core::Progress progress(options.title, options.batches, {.enabled = options.show_progress});
  loader.start(0);
  for (int64_t i = 0; i < options.batches; ++i) {
    if (options.stop && options.stop()) return false;
    auto batch = loader.next();
    if (!batch) break;
    const Autocast autocast(options.precision == Precision::bf16);
    use(in_precision(std::move(*batch), options.precision));
    progress.advance();
  }
  return true;
}

std::optional<Means> evaluate(Learner& learner, data::Loader& loader, const EvaluationOptions& options) {
  Means means;
  const bool whole = for_each_batch(learner, loader, options,
                                    [&](const data::Batch& batch) { means.add(learner.step(batch, options.stage)); });
  return whole ? std::optional(means) : std::nullopt;
}

}  // namespace perceive::train
