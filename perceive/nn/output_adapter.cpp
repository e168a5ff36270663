// Logits from learned queries.
#include "perceive/nn/output_adapter.h"

#include "perceive/nn/checks.h"
#include "perceive/nn/learned_array.h"

namespace perceive::nn {

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
  linear_ = register_module("linear", torch::nn::Linear(options.query_channels, options.num_classes));
}

at::Tensor ClassificationOutputImpl::forward(const at::Tensor& answers) {
  return linear_->forward(answers).squeeze(1);
}

}  // namespace perceive::nn
