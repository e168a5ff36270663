// Language models on Linformer.
#include "perceive/models/dialects/linformer_pytorch/linformer_lm.h"

#include <ATen/ATen.h>

#include "perceive/core/error.h"
#include "perceive/nn/checks.h"

namespace perceive::models::linformer_pytorch {
namespace {

void require_tokens(const at::Tensor& ids, int64_t length, int64_t tokens) {
  TORCH_CHECK_VALUE(ids.dim() == 2 && (ids.scalar_type() == at::kLong || ids.scalar_type() == at::kInt),
                    "expected tokens as int64 [B, ", length, "]; got ", ids.scalar_type(), " ", ids.sizes());
  if (ids.numel() == 0) return;
  const auto [least, most] = at::aminmax(ids);
  const auto low = least.item<int64_t>(), high = most.item<int64_t>();
  TORCH_CHECK_INDEX(low >= 0 && high < tokens, "there is no token ", low < 0 ? low : high, "; num_tokens is ", tokens);
}

}  // namespace

LinformerLMImpl::LinformerLMImpl(const LinformerLMConfig& config) : config_(config) {
  nn::require_at_least("num_tokens", config.num_tokens, 1);
  nn::require_dropout("dropout_tokens", config.dropout_tokens);
  check(config.linformer());
  const int64_t width = config.emb_dim.value_or(config.channels);
  nn::require_at_least("emb_dim", width, 1);
  if (width % 2 != 0) {
    throw core::ConfigError("positions need an even number of channels; got " + std::to_string(width) +
                            " (emb_dim, or channels)");
  }
  to_token_emb_ = register_module("to_token_emb", torch::nn::Embedding(config.num_tokens, width));
  pos_emb_ = register_module("pos_emb", PositionalEmbedding(width));
  linformer_ = Linformer(config.linformer());
  if (width == config.channels) {
    register_module("linformer", linformer_);
  } else {
    const auto wrapped = register_module("linformer", std::make_shared<torch::nn::Module>());
    wrapped->register_module("fn", linformer_.ptr());
    project_in_ = wrapped->register_module("project_in", nn::Linear(width, config.channels));
    project_out_ = wrapped->register_module("project_out", nn::Linear(config.channels, width));
  }
  if (!config.return_emb) to_logits_ = register_module("to_logits", nn::Linear(width, config.num_tokens));
}

at::Tensor LinformerLMImpl::forward(const at::Tensor& ids, const Extras& extras) {
  require_tokens(ids, config_.input_size, config_.num_tokens);
  const auto embedded = to_token_emb_->forward(ids);
  auto x = embedded + pos_emb_->forward(ids).to(embedded.scalar_type());
  x = at::dropout(x, config_.dropout_tokens, is_training());
  if (project_in_) x = project_in_->forward(x);
  x = linformer_->forward(x, extras);
  if (project_out_) x = project_out_->forward(x);
  return to_logits_ ? to_logits_->forward(x) : x;
}

LinformerEncDecImpl::LinformerEncDecImpl(const LinformerEncDecConfig& config) {
  auto encoder = config.enc, decoder = config.dec;
  for (auto* side : {&encoder, &decoder}) {
    side->activation = config.activation;
    side->checkpoint_level = config.checkpoint_level;
  }
  encoder.return_emb = true;
  decoder.decoder_mode = true;
  decoder.causal = true;
  encoder_ = register_module("encoder", LinformerLM(encoder));
  decoder_ = register_module("decoder", LinformerLM(decoder));
}

at::Tensor LinformerEncDecImpl::forward(const at::Tensor& x, const at::Tensor& y, const Extras& extras) {
  Extras read;
  read.embeddings = encoder_->forward(x, extras);
  return decoder_->forward(y.defined() ? y : x, read);
}

}  // namespace perceive::models::linformer_pytorch
