// Logits and tokens from learned queries, and grids from queries of their places.
#include "perceive/nn/output_adapter.h"

#include <ATen/ops/linear.h>
#include <ATen/ops/zeros.h>
#include <c10/util/Exception.h>
#include <c10/util/StringUtil.h>

#include "perceive/core/error.h"
#include "perceive/nn/checks.h"
#include "perceive/nn/learned_array.h"
#include "perceive/ops/fourier.h"
#include "perceive/ops/linear.h"

namespace perceive::nn {

at::Tensor OutputAdapter::queries(int64_t first, int64_t count) {
  const auto array = learned();
  return make_queries(first, count, array.defined() ? array.narrow(0, first, count) : array);
}

void check(const ClassificationOutputOptions& options, const std::string& key) {
  require_at_least(key + "num_classes", options.num_classes, 1);
  require_at_least(key + "num_queries", options.num_queries, 1);
  require_at_least(key + "query_channels", options.query_channels, 1);
}

double parameter_count(const ClassificationOutputOptions& options) {
  const double channels = options.query_channels, classes = options.num_classes;
  return static_cast<double>(options.num_queries) * channels + classes * channels + classes;
}

ClassificationOutputImpl::ClassificationOutputImpl(const ClassificationOutputOptions& options) {
  check(options);
  query_ = register_parameter("query", learned_array(options.num_queries, options.query_channels));
  linear_ = register_module("linear", Linear(options.query_channels, options.num_classes));
}

at::Tensor ClassificationOutputImpl::make_queries(int64_t, int64_t, const at::Tensor& learned) {
  return learned.unsqueeze(0);
}

void check(const TokenOutputOptions& options, const std::string& key) {
  require_at_least(key + "vocabulary", options.vocabulary, 1);
  require_at_least(key + "length", options.length, 1);
  if (options.query_channels) require_at_least(key + "query_channels", *options.query_channels, 1);
}

double parameter_count(const TokenOutputOptions& options, int64_t query_channels) {
  const double channels = query_channels, vocabulary = options.vocabulary;
  return static_cast<double>(options.length) * channels + vocabulary +
         (options.query_channels ? vocabulary * channels : 0.0);
}

TokenOutputImpl::TokenOutputImpl(const TokenOutputOptions& options, const at::Tensor& embeddings) {
  check(options);
  const bool tied = !options.query_channels;
  TORCH_CHECK_VALUE(
      !tied || (embeddings.defined() && embeddings.dim() == 2 && embeddings.size(0) == options.vocabulary),
      "TokenOutput: without query_channels it needs the input's embeddings [", options.vocabulary, ", channels]; got ",
      embeddings.defined() ? c10::str(embeddings.sizes()) : std::string("none"));
  const int64_t channels = tied ? embeddings.size(1) : *options.query_channels;
  query_ = register_parameter("query", learned_array(options.length, channels));
  if (tied) {
    embedding_ = register_parameter("embedding", embeddings);
    bias_ = register_parameter("bias", at::zeros({options.vocabulary}));
  } else {
    linear_ = register_module("linear", Linear(channels, options.vocabulary));
  }
}

at::Tensor TokenOutputImpl::make_queries(int64_t, int64_t, const at::Tensor& learned) {
  return learned.unsqueeze(0);
}

at::Tensor TokenOutputImpl::outputs(const at::Tensor& answers) {
  return linear_ ? linear_->forward(answers) : ops::linear(answers, embedding_, bias_);
}

void check(const GridOutputOptions& options, const std::string& key) {
  if (options.shape.size() < 2) {
    throw core::ConfigError(c10::str(key,
                                     "shape must hold at least one size and the number of channels, channels last; "
                                     "got [",
                                     c10::Join(", ", options.shape), "]"));
  }
  for (const int64_t size : options.shape) require_at_least(key + "shape", size, 1);
  require_at_least(key + "frequency_bands", options.frequency_bands, 1);
}

GridOutputImpl::GridOutputImpl(const GridOutputOptions& options) : options_(options) {
  check(options);
  ops::FourierOptions fourier{.bands = options.frequency_bands};
  fourier.grid.assign(options.shape.begin(), options.shape.end() - 1);
  positions_ = ops::fourier_positions(fourier);
  linear_ = register_module("linear", Linear(positions_.width(), options.shape.back()));
}

at::Tensor GridOutputImpl::make_queries(int64_t first, int64_t count, const at::Tensor&) {
  return positions_.expand(first, count).to(linear_->weight.options()).unsqueeze(0);
}

at::Tensor GridOutputImpl::forward(const at::Tensor& answers) {
  std::vector<int64_t> sizes{answers.size(0)};
  sizes.insert(sizes.end(), options_.shape.begin(), options_.shape.end());
  return outputs(answers).view(sizes);
}

}  // namespace perceive::nn
