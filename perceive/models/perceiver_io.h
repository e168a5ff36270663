// Perceiver IO (Jaegle et al. 2021, arXiv 2107.14795): any input, any output, a fixed array of latents between them.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <memory>
#include <variant>

#include "perceive/nn/decoder.h"
#include "perceive/nn/encoder.h"
#include "perceive/nn/sequence_input.h"

namespace perceive::models {

struct PerceiverIOOptions {
  std::variant<nn::ImageInputOptions, nn::TokenInputOptions> input;
  nn::EncoderOptions encoder;
  std::variant<nn::ClassificationOutputOptions, nn::TokenOutputOptions> output;
  nn::DecoderOptions decoder;
};
template <class Visitor>
void visit(PerceiverIOOptions& o, Visitor&& field) {
  field("input", o.input, "what the model reads");
  field("encoder", o.encoder, "how the latents read it");
  field("output", o.output, "what the model answers");
  field("decoder", o.decoder, "how the output queries read the latents");
}
// Throws core::ConfigError, also for a model whose parameters exceed the machine's memory.
void check(const PerceiverIOOptions& options);
// Distinct parameters.
double parameter_count(const PerceiverIOOptions& options);

// Where a model looks, for a batch. Weights before dropout, each row a distribution over its last dimension.
struct AttentionMaps {
  at::Tensor queries_to_latents;  // [B, H, O, N], of the decoder
  at::Tensor latents_to_input;    // [B, H, N, M], of the encoder's last cross-attention
  // [B, M]: the product of both, averaged over heads and queries. What self-attention mixes in between is not in it.
  at::Tensor queries_to_input;
};

// Registers input, encoder and decoder.
class PerceiverIOImpl : public torch::nn::Module {
 public:
  explicit PerceiverIOImpl(const PerceiverIOOptions& options);
  // Images [B, height, width, channels] or token ids [B, M] to logits: [B, classes], or of tokens [B, O, vocabulary],
  // of which no more places are computed than a row of token ids has. mask: bool, true where a pixel or token counts,
  // [B, height, width] or [B, M]. Throws c10::ValueError that names the tensor where shapes do not fit.
  at::Tensor forward(const at::Tensor& input, const at::Tensor& mask = {});
  // Of tokens: the logits [K, vocabulary] of the places where `places` [B, M], bool, is true, one row after the other.
  at::Tensor forward_at(const at::Tensor& ids, const at::Tensor& mask, const at::Tensor& places);
  // The two halves of forward(): the latents [B, N, D], and what reads them, also in blocks of output rows where there
  // are very many (nn::Decoder::decode and loss).
  at::Tensor encode(const at::Tensor& input, const at::Tensor& mask = {});
  nn::Decoder& decoder() { return decoder_; }
  // Without gradients. In training mode residual dropout makes the maps of the decoder random; call eval() first.
  AttentionMaps attention_maps(const at::Tensor& input, const at::Tensor& mask = {});
  nn::InputAdapter& input() { return *input_; }

 private:
  const bool tokens_to_tokens_;
  std::shared_ptr<nn::InputAdapter> input_;
  nn::Encoder encoder_{nullptr};
  nn::Decoder decoder_{nullptr};
};
TORCH_MODULE(PerceiverIO);

}  // namespace perceive::models
