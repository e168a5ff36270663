// Linformer and LinformerLM of linformer 0.2.3.
//
// Shapes: B batch, n rows of C channels, at most seq_len; V tokens of the vocabulary.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/modules/embedding.h>
#include <torch/nn/pimpl.h>

#include <vector>

#include "perceive/models/dialects/linformer/attention.h"
#include "perceive/models/dialects/linformer/parts.h"

namespace perceive::models::linformer {

// Layers of attention and feed-forward parts, each with a LayerNorm in front and its input added behind; no norm at the
// end. `reversible`: two streams y1 and y2 begin as x, a layer makes y1 += attention(y2) and then y2 += ff(y1), and the
// result is their sum (Kitaev et al. 2020, Reformer, arXiv 2001.04451). Names and initial weights as in the original.
class LinformerImpl : public torch::nn::Module {
 public:
  // Throws core::ConfigError.
  explicit LinformerImpl(const LinformerConfig& config);
  // x [B, n, C] to the same sizes. Throws c10::ValueError for other shapes.
  at::Tensor forward(const at::Tensor& x);

 private:
  struct Layer {
    PreNorm<LinformerSelfAttention> attention;
    PreNorm<FeedForward> feed_forward;
  };
  void register_layers();
  at::Tensor in_two_streams(const at::Tensor& x);

  LinformerConfig config_;
  std::vector<Layer> layers_;
};
TORCH_MODULE(Linformer);

// Tokens and their places, embedded, through a Linformer to logits.
class LinformerLMImpl : public torch::nn::Module {
 public:
  // Throws core::ConfigError.
  explicit LinformerLMImpl(const LinformerLMConfig& config);
  // ids int64 or int32 [B, n]: logits [B, n, V]. Throws c10::ValueError for other shapes, c10::IndexError for a token
  // that is none.
  at::Tensor forward(const at::Tensor& ids);

 private:
  void require_tokens(const at::Tensor& ids) const;

  LinformerLMConfig config_;
  torch::nn::Embedding token_emb_{nullptr}, pos_emb_{nullptr};
  Linformer linformer_{nullptr};
  nn::Linear to_logits_{nullptr};
};
TORCH_MODULE(LinformerLM);

}  // namespace perceive::models::linformer
