// The Perceiver from the layers of nn/.
#include "perceive/models/perceiver.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>
#include <c10/util/StringUtil.h>

#include "perceive/core/error.h"
#include "perceive/core/memory.h"
#include "perceive/nn/checks.h"
#include "perceive/nn/learned_array.h"

namespace perceive::models {
namespace {

int64_t channels_of_reading(const PerceiverOptions& options, int64_t i) {
  return options.input_channels.is_list ? options.input_channels.many[i] : options.input_channels.one;
}

double parameter_count(const PerceiverOptions& options) {
  const int64_t channels = options.latent_channels, readings = reading_count(options), depth = options.stack.depth;
  const auto own = [&](int64_t blocks) {
    const int64_t limit = options.stack.tying == nn::WeightTying::none  ? blocks
                          : options.stack.tying == nn::WeightTying::all ? 1
                                                                        : 2;
    return std::min(blocks, limit);
  };
  double count = static_cast<double>(options.num_latents.value_or(0)) * static_cast<double>(channels);
  for (int64_t i = 0; i < own(readings); ++i) {
    count += nn::parameter_count(options.cross, {channels, channels_of_reading(options, i)});
  }
  count += static_cast<double>(own(depth)) * static_cast<double>(options.self_per_cross) *
           nn::parameter_count(options.self, {channels, std::nullopt});
  if (options.query) count += nn::parameter_count(options.query->layer, {options.query->query_channels, channels});
  return count;
}

// Leaves out some latents of each sample and shuffles the rest: the draws of flash-perceiver 0.2.0.
at::Tensor drop_latents(const at::Tensor& x, double probability) {
  const int64_t count = x.size(1), kept = static_cast<int64_t>((1.0 - probability) * static_cast<double>(count));
  TORCH_CHECK_VALUE(kept > 0, "latent_drop: a probability of ", probability, " leaves none of ", count, " latents");
  const auto uniform = at::full({x.size(0), count}, 1.0 / static_cast<double>(count), x.options().requires_grad(false));
  const auto index = at::multinomial(uniform, kept, /*replacement=*/false);
  return x.gather(1, index.unsqueeze(-1).expand({-1, -1, x.size(2)}));
}

int64_t pooled_channels(const PerceiverOptions& options) {
  const bool concat = options.pool->mode == Pooling::concat;
  return options.latent_channels * (concat ? options.num_latents.value_or(0) : 1);
}

}  // namespace

int64_t reading_count(const PerceiverOptions& options) {
  return options.read_once ? 1 : options.stack.depth;
}

void check(const PerceiverOptions& options) {
  using nn::require_at_least;
  require_at_least("stack.depth", options.stack.depth, 1);
  require_at_least("latent_channels", options.latent_channels, 1);
  if (options.num_latents) require_at_least("num_latents", *options.num_latents, 1);
  require_at_least("self_per_cross", options.self_per_cross, 0);
  require_at_least("num_zero_tokens", options.num_zero_tokens, 0);
  nn::require_dropout("latent_drop", options.latent_drop);
  if (options.input_channels.is_list) {
    const auto given = static_cast<int64_t>(options.input_channels.many.size());
    if (given != reading_count(options)) {
      throw core::ConfigError(c10::str("input_channels: expected ", reading_count(options),
                                       " widths, one for each reading of the input; got ", given));
    }
    if (options.stack.tying != nn::WeightTying::none) {
      throw core::ConfigError(
          "stack.tying must be none where input_channels is a list: blocks that share their weights "
          "read inputs of one width");
    }
  }
  for (int64_t i = 0; i < reading_count(options); ++i) {
    require_at_least("input_channels", channels_of_reading(options, i), 1);
    check(options.cross, {options.latent_channels, channels_of_reading(options, i)}, "cross.");
  }
  check(options.self, {options.latent_channels, std::nullopt}, "self.");
  if (options.pool && options.query) throw core::ConfigError("pool and query: choose one of the two heads");
  if (options.pool) {
    require_at_least("pool.channels", options.pool->channels, 1);
    if (options.pool->mode == Pooling::concat && !options.num_latents) {
      throw core::ConfigError("pool.mode concat needs num_latents, which says how wide the result is");
    }
    if (options.pool->mode == Pooling::concat && options.latent_drop > 0) {
      throw core::ConfigError("pool.mode concat needs latent_drop 0: which latents are left changes at every step");
    }
  }
  if (options.query) {
    require_at_least("query.query_channels", options.query->query_channels, 1);
    check(options.query->layer, {options.query->query_channels, options.latent_channels}, "query.layer.");
    if (options.query->channels) require_at_least("query.channels", *options.query->channels, 1);
  }
  const double parameters = parameter_count(options);
  core::require_memory(
      4 * parameters,
      c10::str("a model of ", parameters, " parameters (", options.num_latents.value_or(0), " latents of ",
               options.latent_channels, " channels, ", options.stack.depth, " blocks)"));
}

PerceiverImpl::PerceiverImpl(const PerceiverOptions& options, const nn::LayerMakers& makers) : options_(options) {
  check(options);
  const int64_t channels = options.latent_channels;
  const auto cross = [&](int64_t i) -> std::shared_ptr<nn::CrossLayer> {
    if (makers.cross) return makers.cross(i);
    return nn::CrossAttentionLayer(options.cross, channels, channels_of_reading(options, i)).ptr();
  };
  const auto selves = [&](int64_t i) {
    std::vector<std::shared_ptr<nn::SelfLayer>> layers;
    for (int64_t j = 0; j < options.self_per_cross; ++j) {
      layers.push_back(makers.self ? makers.self(i, j) : nn::SelfAttentionLayer(options.self, channels).ptr());
    }
    return layers;
  };
  if (options.num_latents) {
    latents_ = register_parameter("latents", nn::learned_array(*options.num_latents, channels));
  }
  if (options.num_zero_tokens > 0) {
    auto list = register_module("zero_tokens", std::make_shared<torch::nn::Module>());
    for (int64_t i = 0; i < reading_count(options); ++i) {
      auto tokens = nn::learned_array(options.num_zero_tokens, channels_of_reading(options, i));
      zero_tokens_.push_back(list->register_parameter(std::to_string(i), tokens));
    }
  }
  if (options.read_once) {
    encoder_ = register_module("encoder", nn::Block(cross(0), std::vector<std::shared_ptr<nn::SelfLayer>>{}));
  }
  const auto block = [&](int64_t i) { return nn::Block(options.read_once ? nullptr : cross(i), selves(i)); };
  blocks_ = register_module("blocks", nn::Stack(options.stack, block, channels));
  if (options.query) {
    const auto& query = *options.query;
    if (query.mlp) {
      query_layer_ = register_module("query", nn::CrossAttentionLayer(query.layer, query.query_channels, channels));
    } else {
      const nn::AttentionWidths widths{query.query_channels, channels};
      query_attention_ = register_module("query", nn::Attention(query.layer.attention, widths));
    }
  }
  const auto head = [&](int64_t in, int64_t out, bool normalize) {
    if (normalize) norm_ = register_module("norm", torch::nn::LayerNorm(torch::nn::LayerNormOptions({in})));
    linear_ = register_module("linear", nn::Linear(in, out));
  };
  if (options.pool) head(pooled_channels(options), options.pool->channels, true);
  if (options.query && options.query->channels) {
    head(options.query->query_channels, *options.query->channels, options.query->normalize);
  }
}

std::vector<nn::Context> PerceiverImpl::with_zero_tokens(const std::vector<nn::Context>& contexts) const {
  auto all = contexts;
  for (size_t i = 0; i < zero_tokens_.size() && i < all.size(); ++i) {
    auto& sources = all[i].sources;
    const auto tokens = zero_tokens_[i].unsqueeze(0).expand({sources.front().batch_size(), -1, -1});
    sources.insert(sources.begin(), ops::Source::of(tokens));
  }
  return all;
}

at::Tensor PerceiverImpl::encode(const PerceiverInputs& inputs) {
  TORCH_CHECK_VALUE(!inputs.contexts.empty() && !inputs.contexts.front().sources.empty(),
                    "Perceiver: there is no input");
  auto x = inputs.latents;
  if (!x.defined()) {
    TORCH_CHECK_VALUE(latents_.defined(), "Perceiver: latents must be given, since num_latents is null");
    x = latents_;
  }
  TORCH_CHECK_VALUE((x.dim() == 2 || x.dim() == 3) && x.size(-1) == options_.latent_channels, "latents: expected [N, ",
                    options_.latent_channels, "] or [B, N, ", options_.latent_channels, "]; got ", x.sizes());
  if (x.dim() == 2) x = x.unsqueeze(0);  // one array for the whole batch until the first reading
  if (is_training() && options_.latent_drop > 0) {
    const int64_t batch = inputs.contexts.front().sources.front().batch_size();
    x = drop_latents(x.expand({batch, -1, -1}), options_.latent_drop);
  }
  const auto contexts = with_zero_tokens(inputs.contexts);
  if (!encoder_) return blocks_->forward(x, contexts, inputs.trace);
  x = encoder_->forward(x, &contexts.front(), inputs.trace.weights);
  return blocks_->forward(x, {}, inputs.trace);
}

at::Tensor PerceiverImpl::pool(const at::Tensor& latents) {
  TORCH_CHECK(options_.pool, "Perceiver: this model has no pool");
  const auto mode = options_.pool->mode;
  const auto pooled = mode == Pooling::average  ? latents.mean(1)
                      : mode == Pooling::concat ? latents.flatten(1)
                                                : latents.select(1, 0);
  return linear_->forward(norm_->forward(pooled));
}

at::Tensor PerceiverImpl::decode(const at::Tensor& latents, const at::Tensor& queries, const at::Tensor& query_mask) {
  TORCH_CHECK(options_.query, "Perceiver: this model takes no queries");
  const int64_t channels = options_.query->query_channels;
  TORCH_CHECK_VALUE((queries.dim() == 2 || queries.dim() == 3) && queries.size(-1) == channels,
                    "queries: expected [O, ", channels, "] or [B, O, ", channels, "]; got ", queries.sizes());
  const auto q = queries.dim() == 2 ? queries.unsqueeze(0) : queries;
  const nn::Context context(ops::Source::of(latents));
  auto y = query_layer_ ? query_layer_->forward(q, context) : query_attention_->forward(q, context);
  if (norm_) y = norm_->forward(y);
  if (linear_) y = linear_->forward(y);
  if (!query_mask.defined()) return y;
  TORCH_CHECK_VALUE(query_mask.scalar_type() == at::kBool && query_mask.sizes() == y.sizes().slice(0, 2),
                    "query_mask: expected bool ", y.sizes().slice(0, 2), ", true where a query counts; got ",
                    query_mask.scalar_type(), " ", query_mask.sizes());
  return y.masked_fill(query_mask.logical_not().unsqueeze(-1), 0.0);
}

at::Tensor PerceiverImpl::forward(const ops::Source& input) {
  PerceiverInputs inputs;
  inputs.contexts.assign(static_cast<size_t>(reading_count(options_)), nn::Context(input));
  const auto latents = encode(inputs);
  return options_.pool ? pool(latents) : latents;
}

}  // namespace perceive::models
