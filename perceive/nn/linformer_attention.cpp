// Attention to projected rows, of the whole input or of each block before.
#include "perceive/nn/linformer_attention.h"

#include <ATen/ATen.h>
#include <torch/nn/init.h>

#include "perceive/nn/checks.h"
#include "perceive/nn/heads.h"
#include "perceive/nn/length_projection.h"
#include "perceive/nn/seed.h"

namespace perceive::nn {
namespace {

int64_t width_of(const LinformerAttentionOptions& options, int64_t channels) {
  return options.heads * options.head_channels.value_or(channels / options.heads);
}

}  // namespace

void check(const LinformerAttentionOptions& options, int64_t channels, const std::string& key) {
  require_at_least(key + "heads", options.heads, 1);
  require_at_least(key + "length", options.length, 1);
  require_at_least(key + "projected", options.projected, 1);
  require_at_least(key + "head_channels", options.head_channels.value_or(1), 1);
  if (!options.head_channels) require_divides(key + "heads", options.heads, "the channels", channels);
  require_dropout(key + "dropout", options.dropout);
}

LinformerAttentionImpl::LinformerAttentionImpl(const LinformerAttentionOptions& options, int64_t channels)
    : options_(options), channels_(channels) {
  check(options, channels);
  const int64_t width = width_of(options, channels);
  query_ = register_module("query", torch::nn::Linear(torch::nn::LinearOptions(channels, width).bias(false)));
  key_value_ =
      register_module("key_value", torch::nn::Linear(torch::nn::LinearOptions(channels, 2 * width).bias(false)));
  projection_ = register_parameter("projection", at::empty({options.projected, options.length}));
  torch::nn::init::xavier_normal_(projection_);
  output_ = register_module("output", torch::nn::Linear(width, channels));
}

at::Tensor LinformerAttentionImpl::forward(const at::Tensor& x, const at::Tensor& mask) {
  TORCH_CHECK_VALUE(x.dim() == 3 && x.size(2) == channels_ && (options_.causal || x.size(1) <= options_.length),
                    "LinformerAttention: expected x [B, n, ", channels_, "]",
                    options_.causal ? "" : " with n up to " + std::to_string(options_.length), "; got ", x.sizes());
  TORCH_CHECK_VALUE(!mask.defined() || (mask.scalar_type() == at::kBool && mask.sizes() == x.sizes().slice(0, 2)),
                    "LinformerAttention: expected a mask of bool ", x.sizes().slice(0, 2), "; got ",
                    mask.defined() ? mask.scalar_type() : at::kBool, " ", mask.defined() ? mask.sizes() : x.sizes());
  ops::AttendOptions options;
  if (is_training() && options_.dropout > 0) {
    options.dropout = options_.dropout;
    options.seed = draw_seed();
  }
  const auto attended = options_.causal ? in_blocks(x, mask, options) : whole(x, mask, options);
  return output_->forward(merge_heads(attended));
}

at::Tensor LinformerAttentionImpl::whole(const at::Tensor& x, const at::Tensor& mask,
                                         const ops::AttendOptions& options) {
  // Keys and values of zero are all that a sample without rows has: its output is zero.
  const auto rows = mask.defined() ? x.masked_fill(mask.logical_not().unsqueeze(2), 0) : x;
  const LengthProjection by{projection_.narrow(1, 0, x.size(1)), {}};
  const auto projected = project_heads(rows, key_value_->weight, 2 * options_.heads, {by}).chunk(2, 1);
  return ops::attend(split_heads(query_->forward(x), options_.heads), projected[0], projected[1], {}, options).out;
}

at::Tensor LinformerAttentionImpl::in_blocks(const at::Tensor& x, const at::Tensor& mask, ops::AttendOptions options) {
  const int64_t batch = x.size(0), length = x.size(1), block = options_.length, heads = options_.heads;
  const int64_t blocks = (length + block - 1) / block, beyond = blocks * block - length;
  auto counts = mask.defined() ? mask : at::ones({batch, length}, x.options().dtype(at::kBool));
  counts = at::constant_pad_nd(counts, {0, beyond}).view({batch * blocks, block});
  const auto cut = at::constant_pad_nd(x, {0, 0, 0, beyond}).view({batch * blocks, block, channels_});
  const auto rows = cut.masked_fill(counts.logical_not().unsqueeze(2), 0);
  // [B · blocks, H, …] to [B, H, blocks · …]
  const auto joined = [&](const at::Tensor& t) {
    return t.unflatten(0, {batch, blocks}).transpose(1, 2).flatten(2, 3);
  };

  const auto q = split_heads(query_->forward(cut), heads);
  const auto own = split_heads(key_value_->forward(rows), 2 * heads).chunk(2, 1);
  auto within = options;
  within.causal = true;
  const auto near = ops::attend(q, own[0], own[1], counts, within);

  const auto projected = project_heads(rows, key_value_->weight, 2 * heads, {{projection_, {}}}).chunk(2, 1);
  const auto places = at::arange(blocks, x.options().dtype(at::kLong));
  const auto earlier = places.repeat_interleave(options_.projected)
                           .unsqueeze(0)
                           .lt(places.repeat_interleave(block).unsqueeze(1));  // [n, blocks · projected]
  const auto empty = counts.view({batch, blocks, block}).any(2).repeat_interleave(options_.projected, 1);
  options.seed += 1;  // the two parts drop apart
  const auto far =
      ops::attend(joined(q), joined(projected[0]), joined(projected[1]),
                  earlier.view({1, 1, blocks * block, -1}).logical_and(empty.view({batch, 1, 1, -1})), options);
  return ops::merge(far, {joined(near.out), joined(near.lse)}).out.narrow(2, 0, length);
}

}  // namespace perceive::nn
