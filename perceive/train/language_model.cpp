// Cross entropy of tokens.
#include "perceive/train/language_model.h"

#include <ATen/ATen.h>

#include <cmath>

#include "perceive/core/error.h"

namespace perceive::train {
namespace {

const at::Tensor& part(const data::Batch& batch, const char* name) {
  const auto found = batch.find(name);
  if (found == batch.end()) {
    throw core::DataError(std::string("the data has no '") + name + "': a language model cannot learn from it");
  }
  return found->second;
}

}  // namespace

TokenTask next_tokens(const data::Batch& batch) {
  const auto &ids = part(batch, "ids"), &mask = part(batch, "mask");
  TokenTask task{ids, mask, at::full_like(ids, kNotAsked), 0};
  const int64_t asked = ids.size(1) - 1;
  const auto counts = mask.narrow(1, 1, asked);
  task.labels.narrow(1, 0, asked).copy_(at::where(counts, ids.narrow(1, 1, asked), task.labels.narrow(1, 1, asked)));
  task.count = std::max<int64_t>(1, counts.sum().item<int64_t>());
  return task;
}

StepOutput LanguageModel::step(const data::Batch& batch, Stage stage) {
  const auto task = prepare_(batch, stage);
  const auto places = task.labels.ne(kNotAsked);
  const auto logits = forward_(task.ids, task.mask, places);
  const auto labels = task.labels.index({places});
  TORCH_CHECK(logits.dim() == 2 && logits.size(0) == labels.size(0), "LanguageModel: expected logits [", labels.size(0),
              ", vocabulary], got ", logits.sizes());
  StepOutput output;
  // Without a question the mean would be 0 / 0.
  output.loss = labels.size(0) > 0 ? at::cross_entropy_loss(logits, labels) : logits.sum();
  output.count = task.count;
  const double bytes = bytes_per_token_ ? bytes_per_token_() : 0;
  if (bytes > 0) output.metrics["bits_per_byte"] = output.loss.detach() / (std::log(2.0) * bytes);
  if (adds_perplexity_) output.logarithms["perplexity"] = output.loss.detach();
  return output;
}

data::Batch LanguageModel::predict(const data::Batch& batch) {
  return {{"logits", forward_(part(batch, "ids"), part(batch, "mask"), {})}};
}

std::map<std::string, std::string> LanguageModel::samples() {
  return samples_ ? samples_() : std::map<std::string, std::string>();
}

}  // namespace perceive::train
