// LinformerLM and LinformerEncDec of linformer-pytorch 0.19.3.
//
// Shapes: B batch, n the input_size, E channels of embedded tokens, V tokens of the vocabulary.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/modules/embedding.h>
#include <torch/nn/pimpl.h>

#include "perceive/models/dialects/linformer_pytorch/linformer.h"
#include "perceive/nn/linear.h"

namespace perceive::models::linformer_pytorch {

// Tokens and their places, embedded, through a Linformer (between two linear maps where E is not its width) to logits.
// Names and initial weights as in the original.
class LinformerLMImpl : public torch::nn::Module {
 public:
  explicit LinformerLMImpl(const LinformerLMConfig& config);
  // ids int64 [B, n]: logits [B, n, V], or rows [B, n, E] with return_emb.
  at::Tensor forward(const at::Tensor& ids, const Extras& extras = {});
  int64_t input_size() const { return config_.input_size; }

 private:
  LinformerLMConfig config_;
  torch::nn::Embedding to_token_emb_{nullptr};
  PositionalEmbedding pos_emb_{nullptr};
  Linformer linformer_{nullptr};
  nn::Linear project_in_{nullptr}, project_out_{nullptr}, to_logits_{nullptr};
};
TORCH_MODULE(LinformerLM);

// A decoder that reads an encoder's rows.
class LinformerEncDecImpl : public torch::nn::Module {
 public:
  explicit LinformerEncDecImpl(const LinformerEncDecConfig& config);
  // x: ids int64 [B, n] for the encoder; y: for the decoder, undefined: x. Logits [B, n, V of the decoder]. Masks reach
  // the encoder only, as in the original; `extras` has no embeddings.
  at::Tensor forward(const at::Tensor& x, const at::Tensor& y = {}, const Extras& extras = {});

 private:
  LinformerLM encoder_{nullptr}, decoder_{nullptr};
};
TORCH_MODULE(LinformerEncDec);

}  // namespace perceive::models::linformer_pytorch
