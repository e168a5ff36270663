// The layers of Linformer.
#include "perceive/models/dialects/linformer_pytorch/linformer.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "perceive/io/names.h"

namespace perceive::models::linformer_pytorch {
namespace {

int64_t head_channels(const LinformerConfig& config) {
  return config.dim_d.value_or(*config.channels / config.nhead);
}

}  // namespace

LinformerImpl::LinformerImpl(const LinformerConfig& config) : config_(config) {
  check(config);
  EFConfig shared;
  shared.input_size = *config.input_size;
  shared.dim = *config.dim_k;
  shared.method = config.method;
  shared.head_dim = head_channels(config);
  const EF projection(shared);  // drawn there whether it is used or not
  for (int64_t i = 0; i < config.depth; ++i) {
    add_attention(i, projection, false);
    add_feed_forward(i);
    if (!config.decoder_mode) continue;
    add_attention(i, projection, true);
    add_feed_forward(i);
  }
  const auto seq = register_module("seq", std::make_shared<torch::nn::Module>());
  for (size_t t = 0; t < parts_.size(); ++t) seq->register_module(std::to_string(t), parts_[t].residual.ptr());
}

LinformerImpl::Widths LinformerImpl::widths(int64_t layer) const {
  const int64_t between = config_.ff_intermediate.value_or(*config_.channels);
  return {layer == 0 ? *config_.channels : between, layer == config_.depth - 1 ? *config_.channels : between};
}

void LinformerImpl::add_attention(int64_t layer, const EF& shared, bool cross) {
  const int64_t width = widths(layer).input;
  MHAttentionOptions options;
  options.input_size = *config_.input_size;
  options.dim = head_channels(config_);
  options.channels = width;
  options.dim_k = std::max<int64_t>(1, *config_.dim_k - layer * config_.k_reduce_by_layer);
  options.nhead = config_.nhead;
  options.dropout = config_.dropout;
  options.checkpoint_level = checkpoint_level_of(config_.checkpoint_level);
  options.parameter_sharing = parameter_sharing_of(config_.parameter_sharing);
  options.full_attention = config_.full_attention;
  // Of a decoder it is the cross-attention that is masked there, not the self-attention.
  if (config_.causal && cross == config_.decoder_mode) options.causal_rows = *config_.dim_k;
  options.w_o_intermediate_dim = config_.w_o_intermediate_dim;
  options.decoder_mode = cross;
  options.method = method_of(config_.method);
  Part part;
  part.attention = MHAttention(options, shared, shared);
  part.residual = Residual(part.attention.ptr(), width, width);
  parts_.push_back(part);
}

void LinformerImpl::add_feed_forward(int64_t layer) {
  const auto [input, output] = widths(layer);
  Part part;
  part.feed_forward = FeedForward(FeedForwardOptions{.input_channels = input,
                                                     .output_channels = output,
                                                     .hidden_channels = config_.dim_ff,
                                                     .dropout = config_.dropout_ff,
                                                     .output_dropout = config_.dropout_ff,
                                                     .activation = activation_of(config_.activation)});
  if (!config_.include_ff) return;  // made and thrown away there, draws and all
  part.residual = Residual(part.feed_forward.ptr(), input, output);
  parts_.push_back(part);
}

at::Tensor LinformerImpl::Part::forward(const at::Tensor& x, const Extras& extras, bool again) {
  if (attention) return attention->forward(x, extras, residual.ptr(), again);
  RowMap rows{.by_row = {x}, .parameters = residual->parameters()};
  rows.map = [part = *this](const std::vector<at::Tensor>& given) mutable {
    return part.residual->forward(given[0], part.feed_forward->forward(given[0]));
  };
  return in_blocks(rows, feed_forward->width(), again);
}

at::Tensor LinformerImpl::forward(at::Tensor x, const Extras& extras) {
  require_input(x, *config_.input_size, *config_.channels);
  const auto level = checkpoint_level_of(config_.checkpoint_level);
  TORCH_CHECK_VALUE(level == CheckpointLevel::C0 || !extras.any(),
                    "Cannot run checkpointing when using kwargs. Please set the checkpoint level to `C0`");
  TORCH_CHECK_VALUE(config_.decoder_mode || !extras.embeddings.defined(),
                    "If decoding, needs to be initialized with `decoder_mode=True`");
  for (auto& part : parts_) {
    const LayerPart run = [part, extras](const at::Tensor& given, bool again) mutable {
      return part.forward(given, extras, again);
    };
    x = run_at(level, run, x, io::distinct_parameters(*part.residual));
  }
  return x;
}

}  // namespace perceive::models::linformer_pytorch
