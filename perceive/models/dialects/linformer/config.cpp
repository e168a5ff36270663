// What is wrong with the arguments of linformer.
#include "perceive/models/dialects/linformer/config.h"

#include "perceive/nn/checks.h"

namespace perceive::models::linformer {

void check(const LinformerSelfAttentionConfig& config) {
  nn::require_divides("heads", config.heads, "dim", config.dim);
  nn::require_at_least("seq_len", config.seq_len, 1);
  nn::require_at_least("k", config.k, 1);
  nn::require_at_least("dim_head", config.head_channels(), 1);
  nn::require_dropout("dropout", config.dropout);
}

void check(const LinformerConfig& config) {
  check(static_cast<const LinformerSelfAttentionConfig&>(config));
  nn::require_at_least("depth", config.depth, 1);
}

void check(const LinformerLMConfig& config) {
  check(static_cast<const LinformerConfig&>(config));
  nn::require_at_least("num_tokens", config.num_tokens, 1);
}

}  // namespace perceive::models::linformer
