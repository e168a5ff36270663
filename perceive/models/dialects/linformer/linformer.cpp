// The layers one after the other, and a language model of them.
#include "perceive/models/dialects/linformer/linformer.h"

#include <ATen/ATen.h>

#include <memory>
#include <string>

#include "perceive/nn/reversible.h"

namespace perceive::models::linformer {

LinformerImpl::LinformerImpl(const LinformerConfig& config) : config_(config) {
  check(config);
  for (int64_t i = 0; i < config.depth; ++i) {
    const LinformerSelfAttention attention(config);
    const FeedForward feed_forward(config.dim, config.dropout);
    layers_.push_back(
        {PreNorm<LinformerSelfAttention>(config.dim, attention), PreNorm<FeedForward>(config.dim, feed_forward)});
  }
  register_layers();
}

// By the names there: net.layers.0.0 and net.layers.0.1; reversible net.blocks.0.f.net and net.blocks.0.g.net.
void LinformerImpl::register_layers() {
  const auto child = [](torch::nn::Module& parent, const std::string& name) {
    return parent.register_module(name, std::make_shared<torch::nn::Module>());
  };
  const auto net = child(*this, "net");
  const auto list = child(*net, config_.reversible ? "blocks" : "layers");
  for (size_t i = 0; i < layers_.size(); ++i) {
    const auto layer = child(*list, std::to_string(i));
    if (config_.reversible) {
      child(*layer, "f")->register_module("net", layers_[i].attention);
      child(*layer, "g")->register_module("net", layers_[i].feed_forward);
    } else {
      layer->register_module("0", layers_[i].attention);
      layer->register_module("1", layers_[i].feed_forward);
    }
  }
}

at::Tensor LinformerImpl::in_two_streams(const at::Tensor& x) {
  const auto part = [](auto& module) {
    return nn::ReversiblePart{[module](const at::Tensor& given) mutable { return module->forward(given); },
                              module->parameters()};
  };
  std::vector<nn::ReversibleLayer> layers;
  for (auto& layer : layers_) layers.push_back({part(layer.attention), part(layer.feed_forward)});
  const auto [y1, y2] = nn::reversible(layers, x, x);
  return y1 + y2;
}

at::Tensor LinformerImpl::forward(const at::Tensor& x) {
  TORCH_CHECK_VALUE(x.dim() == 3 && x.size(1) <= config_.seq_len && x.size(2) == config_.dim,
                    "Linformer: expected x [B, n, ", config_.dim, "] with n up to seq_len = ", config_.seq_len,
                    "; got ", x.sizes());
  if (config_.reversible) return in_two_streams(x);
  auto y = x;
  for (auto& layer : layers_) {
    y = y + layer.attention->forward(y);
    y = y + layer.feed_forward->forward(y);
  }
  return y;
}

LinformerLMImpl::LinformerLMImpl(const LinformerLMConfig& config) : config_(config) {
  check(config);
  token_emb_ = register_module("token_emb", torch::nn::Embedding(config.num_tokens, config.dim));
  pos_emb_ = register_module("pos_emb", torch::nn::Embedding(config.seq_len, config.dim));
  linformer_ = register_module("linformer", Linformer(config));
  to_logits_ = register_module("to_logits", nn::Linear(config.dim, config.num_tokens));
}

void LinformerLMImpl::require_tokens(const at::Tensor& ids) const {
  TORCH_CHECK_VALUE(ids.dim() == 2 && ids.size(1) <= config_.seq_len &&
                        (ids.scalar_type() == at::kLong || ids.scalar_type() == at::kInt),
                    "LinformerLM: expected tokens as int64 [B, n] with n up to seq_len = ", config_.seq_len, "; got ",
                    ids.scalar_type(), " ", ids.sizes());
  if (ids.numel() == 0) return;
  const auto [least, most] = at::aminmax(ids);
  const auto low = least.item<int64_t>(), high = most.item<int64_t>();
  TORCH_CHECK_INDEX(low >= 0 && high < config_.num_tokens, "LinformerLM: there is no token ", low < 0 ? low : high,
                    "; num_tokens is ", config_.num_tokens);
}

at::Tensor LinformerLMImpl::forward(const at::Tensor& ids) {
  require_tokens(ids);
  const auto places = pos_emb_->weight.narrow(0, 0, ids.size(1));
  return to_logits_->forward(linformer_->forward(places + token_emb_->forward(ids)));
}

}  // namespace perceive::models::linformer
