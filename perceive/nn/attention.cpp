// Multi-head attention on ops::attend and ops::attend_source.
#include "perceive/nn/attention.h"

#include <ATen/CPUGeneratorImpl.h>
#include <c10/util/Exception.h>

#include <mutex>

#include "perceive/nn/checks.h"

namespace perceive::nn {
namespace {

// [B, N, H·D] to [B, H, N, D], without a copy.
at::Tensor split_heads(const at::Tensor& x, int64_t heads) {
  return x.view({x.size(0), x.size(1), heads, x.size(2) / heads}).transpose(1, 2);
}

at::Tensor merge_heads(const at::Tensor& x) {
  return x.transpose(1, 2).flatten(2);
}

int64_t draw_seed() {
  auto generator = at::detail::getDefaultCPUGenerator();
  const std::lock_guard<std::mutex> lock(generator.mutex());
  return static_cast<int64_t>(at::check_generator<at::CPUGeneratorImpl>(generator)->random64() >> 1);
}

}  // namespace

AttentionChannels resolve(const AttentionOptions& options, const AttentionWidths& widths) {
  const int64_t qk = options.qk_channels.value_or(widths.query);
  return {qk, options.v_channels.value_or(qk), options.output_channels.value_or(widths.query)};
}

void check(const AttentionOptions& options, const AttentionWidths& widths, const std::string& key) {
  const auto channels = resolve(options, widths);
  require_at_least(key + "query channels", widths.query, 1);
  if (widths.context) require_at_least(key + "context channels", *widths.context, 1);
  require_divides(key + "heads", options.heads, key + "qk_channels", channels.qk);
  require_divides(key + "heads", options.heads, key + "v_channels", channels.v);
  require_at_least(key + "output_channels", channels.output, 1);
  require_dropout(key + "dropout", options.dropout);
}

double parameter_count(const AttentionOptions& options, const AttentionWidths& widths) {
  const auto channels = resolve(options, widths);
  const double query = widths.query, context = widths.context.value_or(widths.query);
  const double qk = channels.qk, v = channels.v, output = channels.output;
  double count = qk * query + (qk + v) * context + output * v + output;
  if (options.qkv_bias) count += 2 * qk + v;
  if (options.normalize_query) count += 2 * query;
  if (widths.context && options.normalize_context) count += 2 * context;
  return count;
}

AttentionImpl::AttentionImpl(const AttentionOptions& options, const AttentionWidths& widths)
    : options_(options), widths_(widths) {
  check(options, widths);
  const auto channels = resolve(options, widths);
  const int64_t context = widths.context.value_or(widths.query);
  const auto norm = [](int64_t width) { return torch::nn::LayerNorm(torch::nn::LayerNormOptions({width})); };
  const auto linear = [](int64_t in, int64_t out, bool bias) {
    return torch::nn::Linear(torch::nn::LinearOptions(in, out).bias(bias));
  };
  if (options.normalize_query) {
    query_norm_ = register_module(widths.context ? "query_norm" : "norm", norm(widths.query));
  }
  if (widths.context && options.normalize_context) context_norm_ = register_module("context_norm", norm(context));
  query_ = register_module("query", linear(widths.query, channels.qk, options.qkv_bias));
  key_ = register_module("key", linear(context, channels.qk, options.qkv_bias));
  value_ = register_module("value", linear(context, channels.v, options.qkv_bias));
  output_ = register_module("output", linear(channels.v, channels.output, true));
}

at::Tensor AttentionImpl::forward(const at::Tensor& x) {
  TORCH_CHECK(!widths_.context, "Attention: this layer attends to a context; none was given");
  const auto normal = query_norm_ ? query_norm_->forward(x) : x;
  const auto q = split_heads(query_->forward(normal), options_.heads);
  const auto k = split_heads(key_->forward(normal), options_.heads);
  const auto v = split_heads(value_->forward(normal), options_.heads);
  return output_->forward(merge_heads(ops::attend(q, k, v, {}, attend_options()).out));
}

at::Tensor AttentionImpl::forward(const at::Tensor& x, const ops::Source& context) {
  return output_->forward(
      merge_heads(ops::attend_source(queries(x, context), context, projection(), attend_options()).out));
}

at::Tensor AttentionImpl::weights(const at::Tensor& x, const ops::Source& context) {
  const auto q = queries(x, context);
  const auto lse = ops::attend_source(q, context, projection()).lse;
  return ops::attention_weights(q, context, projection(), lse);
}

at::Tensor AttentionImpl::queries(const at::Tensor& x, const ops::Source& context) {
  TORCH_CHECK(widths_.context, "Attention: this layer is for self-attention; it takes no context");
  TORCH_CHECK_VALUE(context.width() == *widths_.context, "Attention: the context has ", context.width(),
                    " channels (with its position features) where ", *widths_.context, " were expected");
  TORCH_CHECK_VALUE(x.dim() == 3 && x.size(2) == widths_.query, "Attention: the query input must be [B, N, ",
                    widths_.query, "]; got ", x.sizes());
  TORCH_CHECK_VALUE(x.size(0) == 1 || x.size(0) == context.batch_size(), "Attention: ", x.size(0),
                    " query arrays for a context of batch ", context.batch_size());
  const auto q = split_heads(query_->forward(query_norm_ ? query_norm_->forward(x) : x), options_.heads);
  // Autocast lowers linear() alone; the source is read in its own precision.
  return q.to(key_->weight.scalar_type()).expand({context.batch_size(), -1, -1, -1});
}

ops::Projection AttentionImpl::projection() const {
  ops::Projection projection;
  projection.key_weight = key_->weight;
  projection.key_bias = key_->bias;
  projection.value_weight = value_->weight;
  projection.value_bias = value_->bias;
  projection.heads = options_.heads;
  if (context_norm_) {
    projection.normalize = true;
    projection.norm_weight = context_norm_->weight;
    projection.norm_bias = context_norm_->bias;
    projection.norm_eps = context_norm_->options.eps();
  }
  return projection;
}

ops::AttendOptions AttentionImpl::attend_options() const {
  ops::AttendOptions options;
  if (is_training() && options_.dropout > 0) {
    options.dropout = options_.dropout;
    options.seed = draw_seed();
  }
  return options;
}

}  // namespace perceive::nn
