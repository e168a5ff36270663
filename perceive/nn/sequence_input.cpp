// Rows of numbers or of token ids as described inputs.
#include "perceive/nn/sequence_input.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>
#include <c10/util/StringUtil.h>

#include <cmath>

#include "perceive/core/error.h"
#include "perceive/nn/checks.h"
#include "perceive/nn/learned_array.h"
#include "perceive/ops/fourier.h"

namespace perceive::nn {
namespace {

void check_mask(const at::Tensor& mask, at::IntArrayRef sizes) {
  if (!mask.defined()) return;
  TORCH_CHECK_VALUE(mask.scalar_type() == at::kBool && mask.sizes() == sizes, "mask: expected bool ", sizes,
                    ", true where an element counts; got ", mask.scalar_type(), " ", mask.sizes());
}

void require_range(const std::string& key, double value) {
  if (std::isfinite(value) && value >= 0) return;
  throw core::ConfigError(c10::str(key, " must be a finite number and at least 0; got ", value));
}

}  // namespace

void check(const SequenceInputOptions& options, const std::string& key) {
  require_at_least(key + "channels", options.channels, 1);
  require_at_least(key + "frequency_bands", options.frequency_bands, 0);
  require_at_least(key + "max_frequency", options.max_frequency, 0);
}

SequenceInputImpl::SequenceInputImpl(const SequenceInputOptions& options) : options_(options) {
  check(options);
}

int64_t SequenceInputImpl::width() const {
  return options_.channels + (options_.frequency_bands > 0 ? 2 * options_.frequency_bands + 1 : 0);
}

ops::Source SequenceInputImpl::source(const at::Tensor& values, const at::Tensor& mask) {
  TORCH_CHECK_VALUE(values.dim() == 3 && values.size(2) == options_.channels && values.size(1) > 0,
                    "sequence: expected [B, M, ", options_.channels, "]; got ", values.sizes());
  TORCH_CHECK_VALUE(at::isFloatingType(values.scalar_type()), "sequence: expected floating-point values; got ",
                    values.scalar_type());
  check_mask(mask, values.sizes().slice(0, 2));
  if (options_.frequency_bands == 0) return ops::Source::of(values, {}, mask);
  ops::FourierOptions fourier{.grid = {values.size(1)}, .bands = options_.frequency_bands};
  if (options_.max_frequency > 0) fourier.max_frequency = {static_cast<double>(options_.max_frequency)};
  auto positions = ops::fourier_positions(fourier);
  for (auto& axis : positions.axes) axis = axis.to(values.options());
  return ops::Source::of(values, positions, mask);
}

void check(const TokenInputOptions& options, const std::string& key) {
  require_at_least(key + "vocabulary", options.vocabulary, 1);
  require_at_least(key + "channels", options.channels, 1);
  require_at_least(key + "max_length", options.max_length, 0);
  require_range(key + "embedding_range", options.embedding_range);
  require_range(key + "position_range", options.position_range);
}

int64_t width(const TokenInputOptions& options) {
  return options.channels;
}

double parameter_count(const TokenInputOptions& options) {
  return (static_cast<double>(options.vocabulary) + static_cast<double>(options.max_length)) *
         static_cast<double>(options.channels);
}

TokenInputImpl::TokenInputImpl(const TokenInputOptions& options) : options_(options) {
  check(options);
  embedding_ = register_module("embedding", torch::nn::Embedding(options.vocabulary, options.channels));
  const auto uniform = [](const at::Tensor& tensor, double range) {
    const at::NoGradGuard no_grad;
    return tensor.uniform_(-range, range);
  };
  if (options.embedding_range > 0) uniform(embedding_->weight, options.embedding_range);
  if (options.max_length > 0) {
    auto positions = options.position_range > 0
                         ? uniform(at::empty({options.max_length, options.channels}), options.position_range)
                         : learned_array(options.max_length, options.channels);
    positions_ = register_parameter("positions", std::move(positions));
  }
}

ops::Source TokenInputImpl::source(const at::Tensor& ids, const at::Tensor& mask) {
  TORCH_CHECK_VALUE(ids.dim() == 2 && ids.size(1) > 0, "tokens: expected ids [B, M]; got ", ids.sizes());
  TORCH_CHECK_VALUE(!positions_.defined() || ids.size(1) <= options_.max_length, "tokens: a row of ", ids.size(1),
                    " is longer than max_length, ", options_.max_length);
  check_token_ids(ids, options_.vocabulary);
  check_mask(mask, ids.sizes());
  auto values = embedding_->forward(ids);
  if (options_.scale_embeddings) values = values * std::sqrt(static_cast<double>(options_.channels));
  if (positions_.defined()) values = values + positions_.narrow(0, 0, ids.size(1));
  return ops::Source::of(values, {}, mask);
}

void check_token_ids(const at::Tensor& ids, int64_t vocabulary) {
  TORCH_CHECK_VALUE(ids.scalar_type() == at::kLong || ids.scalar_type() == at::kInt,
                    "token ids: expected int64 or int32; got ", ids.scalar_type());
  const auto wrong = ids.lt(0).logical_or(ids.ge(vocabulary)).flatten();
  if (!wrong.any().item<bool>()) return;
  const int64_t at = wrong.to(at::kByte).argmax().item<int64_t>();
  TORCH_CHECK_VALUE(false, "token ids: ", ids.flatten()[at].item<int64_t>(), " at position ", at % ids.size(-1),
                    " of row ", at / ids.size(-1), " is not among the ids 0 … ", vocabulary - 1);
}

}  // namespace perceive::nn
