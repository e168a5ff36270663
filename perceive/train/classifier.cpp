// Cross entropy and accuracy.
#include "perceive/train/classifier.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "perceive/core/error.h"

namespace perceive::train {
namespace {

const at::Tensor& label_of(const data::Batch& batch) {
  const auto found = batch.find("label");
  if (found == batch.end()) throw core::DataError("the data has no 'label': a classifier cannot learn from it");
  if (found->second.scalar_type() != at::kLong || found->second.dim() != 1) {
    throw core::DataError("the data's 'label' must be one int64 for each example");
  }
  return found->second;
}

void check_range(const at::Tensor& label, int64_t classes) {
  const at::Tensor wrong = ((label < 0) | (label >= classes)).nonzero();
  if (wrong.size(0) == 0) return;
  const auto row = wrong[0][0].item<int64_t>();
  throw core::DataError(
      fmt::format("label {} (number {} of a batch of {}) is outside of the model's {} classes, 0 to {}",
                  label[row].item<int64_t>(), row, label.size(0), classes, classes - 1));
}

}  // namespace

at::Tensor Classifier::logits(const data::Batch& batch) {
  at::Tensor logits = forward_(batch);
  TORCH_CHECK(logits.dim() == 2, "Classifier: expected logits [B, classes], got ", logits.sizes());
  return logits;
}

StepOutput Classifier::step(const data::Batch& batch, Stage /*stage*/) {
  const at::Tensor& label = label_of(batch);
  const at::Tensor scores = logits(batch);
  TORCH_CHECK(scores.size(0) == label.size(0), "Classifier: expected logits for ", label.size(0), " examples, got ",
              scores.size(0));
  check_range(label, scores.size(1));
  const at::Tensor right = scores.argmax(1) == label;
  return {at::cross_entropy_loss(scores, label), {{"acc", right.to(at::kDouble).mean()}}, label.size(0)};
}

data::Batch Classifier::predict(const data::Batch& batch) {
  const at::Tensor scores = logits(batch);
  return {{"probabilities", scores.to(at::promote_types(scores.scalar_type(), at::kFloat)).softmax(1)},
          {"label", scores.argmax(1)}};
}

}  // namespace perceive::train
