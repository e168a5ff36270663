// Linformer of linformer-pytorch 0.1.0.
#include "perceive/models/dialects/linformer_pytorch/truncated_linformer.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "perceive/nn/checkpoint.h"
#include "perceive/nn/heads.h"
#include "perceive/nn/seed.h"
#include "perceive/ops/attend.h"

namespace perceive::models::linformer_pytorch {
namespace {

// part(x), computed again by the backward pass where `again` is set.
template <class Part>
at::Tensor run(Part& part, const at::Tensor& x, bool again) {
  if (!again) return part->forward(x);
  return nn::checkpoint([part](const std::vector<at::Tensor>& inputs) mutable { return part->forward(inputs[0]); }, {x},
                        part->parameters());
}

}  // namespace

TruncatedAttentionImpl::TruncatedAttentionImpl(const TruncatedLinformerConfig& config) : config_(config) {
  const int64_t width = config.dim_d;
  heads_ = register_module("heads", std::make_shared<torch::nn::Module>());
  for (int64_t j = 0; j < config.nhead; ++j) {
    const auto head = heads_->register_module(std::to_string(j), std::make_shared<torch::nn::Module>());
    const auto map = [&](const char* name) { return head->register_module(name, torch::nn::Linear(width, width)); };
    auto w_k = map("w_k"), w_q = map("w_q"), w_v = map("w_v");
    of_head_.push_back({w_k, w_q, w_v});
  }
  w_o_ = register_module("w_o", torch::nn::Linear(width * config.nhead, config.channels));
  const auto without_bias = torch::nn::LinearOptions(config.channels, width).bias(false);
  to_q_ = register_module("to_q", torch::nn::Linear(without_bias));
  to_k_ = register_module("to_k", torch::nn::Linear(without_bias));
  to_v_ = register_module("to_v", torch::nn::Linear(without_bias));
}

at::Tensor TruncatedAttentionImpl::heads(Which which, const at::Tensor& x) {
  std::vector<at::Tensor> weights, biases;
  for (const auto& head : of_head_) {
    weights.push_back(head[which]->weight);
    biases.push_back(head[which]->bias);
  }
  const auto all = at::linear(x, at::cat(weights), at::cat(biases));
  return all.unflatten(2, {config_.nhead, config_.dim_d}).transpose(1, 2);
}

at::Tensor TruncatedAttentionImpl::attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
  ops::AttendOptions options;
  // The root is of single precision there, also in a model of double precision.
  options.scale = 1.0 / std::sqrt(static_cast<float>(config_.dim_d));
  if (is_training() && config_.dropout > 0) {
    options.dropout = config_.dropout;
    options.seed = nn::draw_seed();
  }
  // Rows beyond the length are keys and values of zeros there, which take their share of the softmax.
  const int64_t beyond = std::max<int64_t>(0, config_.dim_k - k.size(1));
  const auto keys = at::constant_pad_nd(heads(key, k), {0, 0, 0, beyond});
  const auto values = at::constant_pad_nd(heads(value, v), {0, 0, 0, beyond});
  return nn::merge_heads(ops::attend(heads(query, q), keys, values, {}, options).out);
}

at::Tensor TruncatedAttentionImpl::forward(const at::Tensor& x) {
  const auto first = x.narrow(1, 0, std::min(config_.dim_k, x.size(1)));
  const std::vector<at::Tensor> inputs{to_q_->forward(x), to_k_->forward(first), to_v_->forward(first)};
  const nn::Segment heads = [this](const std::vector<at::Tensor>& given) {
    return attend(given[0], given[1], given[2]);
  };
  const bool again = checkpoint_level_of(config_.checkpoint_level) == CheckpointLevel::C2;
  return w_o_->forward(again ? nn::checkpoint(heads, inputs, heads_->parameters()) : heads(inputs));
}

TruncatedLinformerImpl::TruncatedLinformerImpl(const TruncatedLinformerConfig& config) : config_(config) {
  check(config);
  const auto layers = register_module("layers", std::make_shared<torch::nn::Module>());
  for (int64_t i = 0; i < config.depth; ++i) {
    const auto layer = layers->register_module(std::to_string(i), std::make_shared<torch::nn::Module>());
    const auto norm = [&] { return torch::nn::LayerNorm(torch::nn::LayerNormOptions({config.channels})); };
    // `activation` never reaches the feed-forward part there.
    const FeedForwardOptions feed_forward{.input_channels = config.channels,
                                          .output_channels = config.channels,
                                          .hidden_channels = config.dim_ff,
                                          .dropout = config.dropout_ff};
    Layer made{TruncatedAttention(config), norm(), FeedForward(feed_forward), norm()};
    layer->register_module("0", made.attention.ptr());
    layer->register_module("1", made.attention_norm.ptr());
    layer->register_module("2", made.feed_forward.ptr());
    layer->register_module("3", made.feed_forward_norm.ptr());
    layers_.push_back(made);
  }
}

at::Tensor TruncatedLinformerImpl::forward(at::Tensor x) {
  require_input(x, config_.input_size, config_.channels);
  const bool again = checkpoint_level_of(config_.checkpoint_level) != CheckpointLevel::C0;
  for (auto& layer : layers_) {
    x = layer.attention_norm->forward(run(layer.attention, x, again) + x.detach());
    x = layer.feed_forward_norm->forward(run(layer.feed_forward, x, again) + x.detach());
  }
  return x;
}

}  // namespace perceive::models::linformer_pytorch
