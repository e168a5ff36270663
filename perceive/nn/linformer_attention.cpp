// Attention to projected rows, of the whole input or of each block before.
#include "perceive/nn/linformer_attention.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "perceive/core/error.h"
#include "perceive/nn/checks.h"
#include "perceive/nn/heads.h"
#include "perceive/nn/seed.h"

namespace perceive::nn {
namespace {

int64_t head_channels(const LinformerAttentionOptions& options, int64_t channels) {
  return options.head_channels.value_or(channels / options.heads);
}

int64_t block_of(const LinformerAttentionOptions& options) {
  const int64_t length = options.projection.length, projected = options.projection.projected;
  return options.block.value_or(
      std::max(std::min<int64_t>(128, (length + 3) / 4), (length + projected - 1) / projected));
}

// Of a whole input, or of a causal block.
LengthProjectorOptions projected_at_once(const LinformerAttentionOptions& options) {
  auto projection = options.projection;
  if (!options.causal) return projection;
  const int64_t block = block_of(options), rows = projection.projected * block;
  projection.projected = (rows + projection.length - 1) / projection.length;
  projection.length = block;
  return projection;
}

void check_rows(const char* name, const at::Tensor& x, int64_t channels, int64_t most, const at::Tensor& mask) {
  TORCH_CHECK_VALUE(x.dim() == 3 && x.size(2) == channels && x.size(1) >= 1 && x.size(1) <= most,
                    "LinformerAttention: expected ", name, " [B, n, ", channels, "] with n up to ", most, "; got ",
                    x.sizes());
  TORCH_CHECK_VALUE(!mask.defined() || (mask.scalar_type() == at::kBool && mask.sizes() == x.sizes().slice(0, 2)),
                    "LinformerAttention: expected a mask of bool ", x.sizes().slice(0, 2), "; got ",
                    mask.defined() ? mask.scalar_type() : at::kBool, " ", mask.defined() ? mask.sizes() : x.sizes());
}

}  // namespace

void check(const LinformerAttentionOptions& options, int64_t channels, const std::string& key) {
  require_at_least(key + "channels", channels, 1);
  require_at_least(key + "heads", options.heads, 1);
  require_at_least(key + "head_channels", options.head_channels.value_or(1), 1);
  if (!options.head_channels) require_divides(key + "heads", options.heads, "the channels", channels);
  require_dropout(key + "dropout", options.dropout);
  check(options.projection, key);
  if (options.block) {
    require_at_least(key + "block", *options.block, 1);
    if (!options.causal)
      throw core::ConfigError(key + "block is of causal attention only; leave it out, or set causal");
    if (*options.block > options.projection.length) {
      throw core::ConfigError(key + "block must be at most length, " + std::to_string(options.projection.length) +
                              "; got " + std::to_string(*options.block));
    }
  }
  if (!options.full_attention) check(projected_at_once(options), key);
}

double parameter_count(const LinformerAttentionOptions& options, int64_t channels, int64_t context_channels) {
  const int64_t width = head_channels(options, channels);
  const double all = static_cast<double>(options.heads) * static_cast<double>(width);
  const double maps = all * (2.0 * static_cast<double>(channels) + 2.0 * static_cast<double>(context_channels));
  const double projection =
      options.full_attention ? 0 : parameter_count(projected_at_once(options), options.heads, width);
  return maps + static_cast<double>(channels) + projection;
}

LengthProjector make_projector(const LinformerAttentionOptions& options, int64_t channels) {
  if (options.full_attention) return nullptr;
  return LengthProjector(projected_at_once(options), options.heads, head_channels(options, channels));
}

LinformerAttentionImpl::LinformerAttentionImpl(const LinformerAttentionOptions& options, int64_t channels,
                                               LengthProjector projector, std::optional<int64_t> context_channels)
    : options_(options), channels_(channels), context_channels_(context_channels.value_or(channels)) {
  check(options, channels);
  const int64_t width = options.heads * head_channels(options, channels);
  const auto linear = [&](const char* name, int64_t in, int64_t out) {
    return register_module(name, Linear(torch::nn::LinearOptions(in, out).bias(false)));
  };
  query_ = linear("query", channels, width);
  key_value_ = linear("key_value", context_channels_, 2 * width);
  projection_ = projector ? std::move(projector) : make_projector(options, channels);
  if (projection_) register_module("projection", projection_);
  output_ = register_module("output", Linear(width, channels));
}

ops::AttendOptions LinformerAttentionImpl::attend_options() const {
  ops::AttendOptions options;
  if (is_training() && options_.dropout > 0) {
    options.dropout = options_.dropout;
    options.seed = draw_seed();
  }
  return options;
}

at::Tensor LinformerAttentionImpl::forward(const at::Tensor& x, const at::Tensor& mask) {
  check_rows("x", x, channels_, options_.projection.length, mask);
  at::Tensor attended;
  if (options_.full_attention || (options_.causal && x.size(1) <= block_of(options_))) {
    attended = all(x, x, mask, options_.causal);
  } else {
    attended = options_.causal ? in_blocks(x, mask) : projected(x, x, mask);
  }
  return output_->forward(merge_heads(attended));
}

at::Tensor LinformerAttentionImpl::read(const at::Tensor& x, const at::Tensor& context, const at::Tensor& mask) {
  TORCH_CHECK(!options_.causal, "LinformerAttention: causal attention reads no context");
  check_rows("x", x, channels_, std::numeric_limits<int64_t>::max(), {});
  check_rows("context", context, context_channels_, options_.projection.length, mask);
  const auto attended = options_.full_attention ? all(x, context, mask, false) : projected(x, context, mask);
  return output_->forward(merge_heads(attended));
}

at::Tensor LinformerAttentionImpl::all(const at::Tensor& x, const at::Tensor& context, const at::Tensor& mask,
                                       bool causal) {
  const auto own = split_heads(key_value_->forward(context), 2 * options_.heads).chunk(2, 1);
  auto options = attend_options();
  options.causal = causal;
  return ops::attend(split_heads(query_->forward(x), options_.heads), own[0], own[1], mask, options).out;
}

at::Tensor LinformerAttentionImpl::projected(const at::Tensor& x, const at::Tensor& context, const at::Tensor& mask) {
  const auto [keys, values, counts] = projection_->forward(context, key_value_->weight, mask);
  const auto q = split_heads(query_->forward(x), options_.heads);
  return ops::attend(q, keys, values, counts, attend_options()).out;
}

at::Tensor LinformerAttentionImpl::in_blocks(const at::Tensor& x, const at::Tensor& mask) {
  const int64_t batch = x.size(0), length = x.size(1), block = block_of(options_), heads = options_.heads;
  const int64_t blocks = (length + block - 1) / block, beyond = blocks * block - length;
  const auto cut = [&](const at::Tensor& t) { return t.unflatten(1, {blocks, block}).flatten(0, 1); };
  auto whole = x, counts = mask;
  if (beyond > 0) {
    whole = at::constant_pad_nd(x, {0, 0, 0, beyond});
    if (!mask.defined()) counts = at::ones({batch, length}, x.options().dtype(at::kBool));
    counts = at::constant_pad_nd(counts, {0, beyond});
  }
  const auto rows = cut(whole), queries = query_->forward(whole);
  if (counts.defined()) counts = cut(counts);

  const auto halves = key_value_->weight.chunk(2);
  ops::Projection projection;
  projection.key_weight = halves[0];
  projection.value_weight = halves[1];
  projection.heads = heads;
  auto options = attend_options();
  auto within = options;
  within.causal = true;
  // Autocast lowers linear() alone; the source is read in its own precision.
  const auto own = split_heads(cut(queries), heads).to(halves[0].scalar_type());
  const auto near = ops::attend_source(own, ops::Source::of(rows, {}, counts), projection, within);

  const auto [keys, values, there] = projection_->forward(rows, key_value_->weight, counts);
  // [B · blocks, H, …] to [B, H, blocks · …]
  const auto joined = [&](const at::Tensor& t) {
    return t.unflatten(0, {batch, blocks}).transpose(1, 2).flatten(2, 3);
  };
  const auto places = at::arange(blocks, x.options().dtype(at::kLong));
  auto earlier = places.repeat_interleave(keys.size(2)).lt(places.repeat_interleave(block).unsqueeze(1));
  earlier = earlier.view({1, 1, blocks * block, -1});
  if (there.defined()) earlier = earlier.logical_and(there.reshape({batch, 1, 1, -1}));
  options.seed += 1;  // the two parts drop apart
  const auto far = ops::attend(split_heads(queries, heads), joined(keys), joined(values), earlier, options);
  return ops::merge(far, {joined(near.out).to(far.out.scalar_type()), joined(near.lse)}).out.narrow(2, 0, length);
}

}  // namespace perceive::nn
