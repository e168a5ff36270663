// Multi-head attention on ops::attend and ops::attend_source.
#include "perceive/nn/attention.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>
#include <c10/util/StringUtil.h>

#include <cmath>

#include "perceive/core/error.h"
#include "perceive/nn/checks.h"
#include "perceive/nn/heads.h"
#include "perceive/nn/rotary.h"
#include "perceive/nn/seed.h"

namespace perceive::nn {
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
  require_at_least(key + "rotary_channels", options.rotary_channels, 0);
  if ((options.rotary_channels + 1) / 2 * 2 > channels.qk / options.heads) {
    throw core::ConfigError(c10::str(key, "rotary_channels must be at most ", channels.qk / options.heads,
                                     ", the channels of a head; got ", options.rotary_channels));
  }
  if (widths.context && options.packing == Packing::all) {
    throw core::ConfigError(key + "packing must not be all in cross-attention, whose queries come from elsewhere");
  }
  if (widths.context && options.queries_as_keys && *widths.context != widths.query) {
    throw core::ConfigError(c10::str(key, "queries_as_keys needs a context as wide as the queries; got ",
                                     *widths.context, " and ", widths.query));
  }
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
    : options_(options), widths_(widths), channels_(resolve(options, widths)) {
  check(options, widths);
  const auto [qk, v, output] = channels_;
  const int64_t context = widths.context.value_or(widths.query);
  const auto norm = [](int64_t width) { return torch::nn::LayerNorm(torch::nn::LayerNormOptions({width})); };
  const auto linear = [&](const char* name, int64_t in, int64_t out, bool bias) {
    return register_module(name, Linear(torch::nn::LinearOptions(in, out).bias(bias)));
  };
  if (options.normalize_query) {
    query_norm_ = register_module(widths.context ? "query_norm" : "norm", norm(widths.query));
  }
  if (widths.context && options.normalize_context) context_norm_ = register_module("context_norm", norm(context));
  if (options.packing == Packing::all) {
    query_key_value_ = linear("query_key_value", context, 2 * qk + v, options.qkv_bias);
  } else {
    query_ = linear("query", widths.query, qk, options.qkv_bias);
    if (options.packing == Packing::key_value) {
      key_value_ = linear("key_value", context, qk + v, options.qkv_bias);
    } else {
      key_ = linear("key", context, qk, options.qkv_bias);
      value_ = linear("value", context, v, options.qkv_bias);
    }
  }
  output_ = linear("output", v, output, true);
}

AttentionImpl::Heads AttentionImpl::heads(const at::Tensor& x) {
  TORCH_CHECK(!widths_.context, "Attention: this layer attends to a context; none was given");
  const auto normal = query_norm_ ? query_norm_->forward(x) : x;
  const auto [qk, v, output] = channels_;
  std::vector<at::Tensor> parts;
  if (query_key_value_) {
    parts = query_key_value_->forward(normal).split_with_sizes({qk, qk, v}, -1);
  } else if (key_value_) {
    parts = key_value_->forward(normal).split_with_sizes({qk, v}, -1);
    parts.insert(parts.begin(), query_->forward(normal));
  } else {
    parts = {query_->forward(normal), key_->forward(normal), value_->forward(normal)};
  }
  for (auto& part : parts) part = split_heads(part, options_.heads);
  if (options_.rotary_channels > 0) {
    for (int i = 0; i < 2; ++i) parts[i] = rotate(parts[i], options_.rotary_channels);
  }
  return {parts[0], parts[1], parts[2]};
}

at::Tensor AttentionImpl::forward(const at::Tensor& x) {
  const auto [q, k, v] = heads(x);
  return output_->forward(merge_heads(ops::attend(q, k, v, {}, attend_options()).out));
}

at::Tensor AttentionImpl::weights(const at::Tensor& x) {
  const auto [q, k, v] = heads(x);
  return (at::matmul(q, k.transpose(-2, -1)) / std::sqrt(static_cast<double>(q.size(3)))).softmax(-1);
}

at::Tensor AttentionImpl::forward(const at::Tensor& x, const Context& context) {
  auto [q, keys, options] = reading(x, context);
  return output_->forward(merge_heads(read(std::move(q), std::move(keys), options)));
}

at::Tensor AttentionImpl::weights(const at::Tensor& x, const Context& context) {
  auto [q, keys, options] = reading(x, context);
  options.attend = {};
  return read_weights(std::move(q), std::move(keys), options);
}

AttentionImpl::Reading AttentionImpl::reading(const at::Tensor& x, const Context& context) {
  TORCH_CHECK(widths_.context, "Attention: this layer is for self-attention; it takes no context");
  TORCH_CHECK(!context.sources.empty(), "Attention: the context has no source");
  const int64_t batch = context.sources.front().batch_size();
  TORCH_CHECK_VALUE(x.dim() == 3 && x.size(2) == widths_.query, "Attention: the query input must be [B, N, ",
                    widths_.query, "]; got ", x.sizes());
  TORCH_CHECK_VALUE(x.size(0) == 1 || x.size(0) == batch, "Attention: ", x.size(0),
                    " query arrays for a context of batch ", batch);
  const auto normal = query_norm_ ? query_norm_->forward(x) : x;
  const auto projected = projection();
  std::vector<Keys> keys;
  if (options_.queries_as_keys) {
    keys.push_back({ops::Source::of(normal.expand({batch, -1, -1})), projected});
    keys.back().projection.normalize = false;  // the queries' norm did it
  }
  for (const auto& source : context.sources) {
    TORCH_CHECK_VALUE(source.width() == *widths_.context, "Attention: the context has ", source.width(),
                      " channels (with its position features) where ", *widths_.context, " were expected");
    TORCH_CHECK_VALUE(source.batch_size() == batch, "Attention: sources of batch ", batch, " and ", source.batch_size(),
                      " in one context");
    keys.push_back({source, projected});
  }
  const auto q = split_heads(query_->forward(normal), options_.heads);
  // Autocast lowers linear() alone; the source is read in its own precision.
  return {q.to(projected.key_weight.scalar_type()).expand({batch, -1, -1, -1}),
          std::move(keys),
          {.attend = attend_options(),
           .empty_rows = options_.empty_rows,
           .rotary_channels = options_.rotary_channels,
           .inverted = context.inverted}};
}

ops::Projection AttentionImpl::projection() const {
  ops::Projection projection;
  if (key_value_) {
    const auto part = [&](const at::Tensor& whole, int64_t first, int64_t count) {
      return whole.defined() ? whole.narrow(0, first, count) : whole;
    };
    projection.key_weight = part(key_value_->weight, 0, channels_.qk);
    projection.key_bias = part(key_value_->bias, 0, channels_.qk);
    projection.value_weight = part(key_value_->weight, channels_.qk, channels_.v);
    projection.value_bias = part(key_value_->bias, channels_.qk, channels_.v);
  } else {
    projection.key_weight = key_->weight;
    projection.key_bias = key_->bias;
    projection.value_weight = value_->weight;
    projection.value_bias = value_->bias;
  }
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
