// Linformer of linformer-pytorch 0.1.0.
#include "perceive/models/dialects/linformer_pytorch/truncated_linformer.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "perceive/nn/heads.h"
#include "perceive/nn/seed.h"
#include "perceive/ops/attend.h"
#include "perceive/ops/linear.h"

namespace perceive::models::linformer_pytorch {
TruncatedAttentionImpl::TruncatedAttentionImpl(const TruncatedLinformerConfig& config)
    : config_(config), absorbs_(config.channels < config.dim_d) {
  const int64_t width = config.dim_d;
  const auto heads = register_module("heads", std::make_shared<torch::nn::Module>());
  for (int64_t j = 0; j < config.nhead; ++j) {
    const auto head = heads->register_module(std::to_string(j), std::make_shared<torch::nn::Module>());
    const auto map = [&](const char* name) { return head->register_module(name, nn::Linear(width, width)); };
    auto w_k = map("w_k"), w_q = map("w_q"), w_v = map("w_v");
    of_head_.push_back({w_k, w_q, w_v});
  }
  w_o_ = register_module("w_o", nn::Linear(width * config.nhead, config.channels));
  const auto without_bias = torch::nn::LinearOptions(config.channels, width).bias(false);
  to_q_ = register_module("to_q", nn::Linear(without_bias));
  to_k_ = register_module("to_k", nn::Linear(without_bias));
  to_v_ = register_module("to_v", nn::Linear(without_bias));
}

TruncatedAttentionImpl::Maps TruncatedAttentionImpl::maps(Which which) const {
  std::vector<at::Tensor> weights, biases;
  for (const auto& head : of_head_) {
    weights.push_back(head[which]->weight);
    biases.push_back(head[which]->bias);
  }
  return {at::stack(weights), at::stack(biases)};
}

at::Tensor TruncatedAttentionImpl::heads(Which which, const at::Tensor& x) const {
  const auto [weight, bias] = maps(which);
  return nn::split_heads(ops::linear(x, weight.flatten(0, 1), bias.flatten()), config_.nhead);
}

std::vector<at::Tensor> TruncatedAttentionImpl::keys_and_values(const at::Tensor& x) {
  const auto first = x.narrow(1, 0, std::min(config_.dim_k, x.size(1)));
  auto k = heads(key, to_k_->forward(first)), v = heads(value, to_v_->forward(first));
  if (absorbs_) {
    // k (w_q to_q x + b_q) = (k w_q to_q) x + k b_q
    const auto [weight, bias] = maps(query);
    k = at::matmul(k, at::cat({at::matmul(weight, to_q_->weight), bias.unsqueeze(2)}, 2));
    v = at::matmul(v, w_o_->weight.t().unflatten(0, {config_.nhead, config_.dim_d}));
  }
  // Rows beyond the length are keys and values of zeros there, which take their share of the softmax.
  const int64_t beyond = std::max<int64_t>(0, config_.dim_k - x.size(1));
  return {at::constant_pad_nd(k, {0, 0, 0, beyond}), at::constant_pad_nd(v, {0, 0, 0, beyond})};
}

at::Tensor TruncatedAttentionImpl::forward(const at::Tensor& x, const at::Tensor& keys, const at::Tensor& values) {
  ops::AttendOptions options;
  // The root is of single precision there, also in a model of double precision.
  options.scale = 1.0 / std::sqrt(static_cast<float>(config_.dim_d));
  if (is_training() && config_.dropout > 0) {
    options.dropout = config_.dropout;
    options.seed = nn::draw_seed();
  }
  if (absorbs_) {
    const auto queries = at::constant_pad_nd(x, {0, 1}, 1).unsqueeze(1).expand({-1, config_.nhead, -1, -1});
    return ops::attend(queries, keys, values, {}, options).out.sum(1) + w_o_->bias;
  }
  const auto queries = heads(query, to_q_->forward(x));
  return w_o_->forward(nn::merge_heads(ops::attend(queries, keys, values, {}, options).out));
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
    Layer made{layer, TruncatedAttention(config), norm(), FeedForward(feed_forward), norm()};
    layer->register_module("0", made.attention.ptr());
    layer->register_module("1", made.attention_norm.ptr());
    layer->register_module("2", made.feed_forward.ptr());
    layer->register_module("3", made.feed_forward_norm.ptr());
    layers_.push_back(made);
  }
}

at::Tensor TruncatedLinformerImpl::Layer::attend(const at::Tensor& x, bool again) {
  RowMap rows{.by_row = {x}, .whole = attention->keys_and_values(x), .parameters = module->parameters()};
  rows.map = [layer = *this](const std::vector<at::Tensor>& given) mutable {
    const auto y = layer.attention->forward(given[0], given[1], given[2]);
    return layer.attention_norm->forward(y + given[0].detach());
  };
  return in_blocks(rows, attention->width(), again);
}

at::Tensor TruncatedLinformerImpl::Layer::feed(const at::Tensor& x, bool again) {
  RowMap rows{.by_row = {x}, .parameters = module->parameters()};
  rows.map = [layer = *this](const std::vector<at::Tensor>& given) mutable {
    return layer.feed_forward_norm->forward(layer.feed_forward->forward(given[0]) + given[0].detach());
  };
  return in_blocks(rows, feed_forward->width(), again);
}

at::Tensor TruncatedLinformerImpl::forward(at::Tensor x) {
  require_input(x, config_.input_size, config_.channels);
  const auto level = checkpoint_level_of(config_.checkpoint_level);
  for (auto& layer : layers_) {
    const auto parameters = layer.module->parameters();
    x = run_at(
        level, [layer](const at::Tensor& given, bool again) mutable { return layer.attend(given, again); }, x,
        parameters);
    x = run_at(
        level, [layer](const at::Tensor& given, bool again) mutable { return layer.feed(given, again); }, x,
        parameters);
  }
  return x;
}

}  // namespace perceive::models::linformer_pytorch
