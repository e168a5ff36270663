// Tokens one after the other, each from what a model says of those before.
//
// Shapes: B batch, n tokens so far, V tokens of the vocabulary.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <optional>

namespace perceive::models {

struct GenerateOptions {
  int64_t tokens = 20;
  double temperature = 0.0;
  std::optional<int64_t> top_k;
  std::optional<int64_t> end;
  int64_t seed = 0;
};
template <class Visitor>
void visit(GenerateOptions& o, Visitor&& field) {
  field("tokens", o.tokens, "the most tokens to add");
  field("temperature", o.temperature, "of the softmax that tokens are drawn from; 0: the most probable one is taken");
  field("top_k", o.top_k, "draw from so many of the most probable tokens only; null: from all");
  field("end", o.end, "token that ends a row, which is filled up with it while others go on; null: none does");
  field("seed", o.seed, "of the draws");
}

// The logits [B, V] of the token behind ids [B, n].
using NextToken = std::function<at::Tensor(const at::Tensor& ids)>;

// prompt int64 or int32 [B, n], n at least 1, and up to `tokens` more behind it, int64. Ends early when each row has
// its end token. The same seed draws the same tokens, on every device. Without gradients. Throws c10::ValueError where
// options do not fit or the result would exceed `longest`, the most tokens that the model takes.
at::Tensor generate(const NextToken& next, const at::Tensor& prompt, int64_t longest, int64_t vocabulary,
                    const GenerateOptions& options);

}  // namespace perceive::models
