// Greedy and random choice of the next token.
#include "perceive/models/generate.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace perceive::models {
namespace {

void check(const at::Tensor& prompt, int64_t longest, int64_t vocabulary, const GenerateOptions& options) {
  TORCH_CHECK_VALUE(prompt.dim() == 2 && prompt.size(1) >= 1,
                    "generate: expected a prompt [B, n] with n at least 1; got ", prompt.sizes(),
                    ". A model starts from a token, such as one that begins every text");
  TORCH_CHECK_VALUE(options.tokens >= 0, "generate: tokens must be at least 0; got ", options.tokens);
  TORCH_CHECK_VALUE(options.tokens <= longest - prompt.size(1), "generate: a prompt of ", prompt.size(1), " and ",
                    options.tokens, " tokens more exceed the length of the model, ", longest,
                    "; ask for fewer, or shorten the prompt");
  TORCH_CHECK_VALUE(std::isfinite(options.temperature) && options.temperature >= 0,
                    "generate: temperature must be a finite number and at least 0; got ", options.temperature);
  TORCH_CHECK_VALUE(!options.top_k || *options.top_k >= 1, "generate: top_k must be at least 1; got ", *options.top_k);
  TORCH_CHECK_VALUE(!options.end || (*options.end >= 0 && *options.end < vocabulary),
                    "generate: end must be one of the tokens 0 … ", vocabulary - 1, "; got ", *options.end);
}

// [B, 1]. On the CPU and in double, so that neither device nor precision of the model changes how it is drawn.
at::Tensor choose(at::Tensor logits, const GenerateOptions& options, at::Generator& generator) {
  TORCH_CHECK(logits.isfinite().all().item<bool>(), "generate: the model gave logits that are not finite");
  if (options.temperature == 0) return logits.argmax(1, true);
  auto scores = logits.to(at::kCPU, at::kDouble);
  scores = (scores - scores.amax(1, true)) / options.temperature;
  if (options.top_k && *options.top_k < scores.size(1)) {
    const auto [values, places] = scores.topk(*options.top_k, 1);
    scores = at::full_like(scores, -std::numeric_limits<double>::infinity()).scatter(1, places, values);
  }
  return at::multinomial(scores.softmax(1), 1, /*replacement=*/false, generator).to(logits.device());
}

}  // namespace

at::Tensor generate(const NextToken& next, const at::Tensor& prompt, int64_t longest, int64_t vocabulary,
                    const GenerateOptions& options) {
  check(prompt, longest, vocabulary, options);
  const at::NoGradGuard no_grad;
  auto generator = at::detail::createCPUGenerator(static_cast<uint64_t>(options.seed));
  auto ids = prompt.to(at::kLong);
  auto ended = at::zeros({ids.size(0), 1}, ids.options().dtype(at::kBool));
  for (int64_t i = 0; i < options.tokens; ++i) {
    auto token = choose(next(ids), options, generator);
    if (options.end) {
      token = token.masked_fill(ended, *options.end);
      ended = ended.logical_or(token.eq(*options.end));
    }
    ids = at::cat({ids, token}, 1);
    if (options.end && ended.all().item<bool>()) break;
  }
  return ids;
}

}  // namespace perceive::models
