// An encoder and a decoder of tokens, both Linformers, of lengths, widths and vocabularies of their own.
//
// Shapes: B batch, m tokens of the source, n tokens of the target.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include "perceive/models/linformer.h"

namespace perceive::models {

struct LinformerEncDecOptions {
  LinformerEncoderOptions encoder;
  LinformerLMOptions decoder = [] {
    LinformerLMOptions options;
    options.layer.attention.causal = true;
    return options;
  }();
};
template <class Visitor>
void visit(LinformerEncDecOptions& o, Visitor&& field) {
  field("encoder", o.encoder, "of the source; the decoder's cross-attention projects what it gives in the same way");
  field("decoder", o.decoder, "of the target; always causal");
}
// Throws core::ConfigError.
void check(const LinformerEncDecOptions& options);
double parameter_count(const LinformerEncDecOptions& options);

// Registers encoder, and decoder, whose layers read the encoder's rows: keys and values are projected along the length
// of the source, masked tokens left out.
class LinformerEncDecImpl : public torch::nn::Module {
 public:
  explicit LinformerEncDecImpl(const LinformerEncDecOptions& options);
  // source [B, m] and target [B, n], ids int64 or int32, to logits [B, n, vocabulary of the decoder]; those of a place
  // follow from the source and the target up to there. Masks: bool, of the same sizes, true where a token counts.
  at::Tensor forward(const at::Tensor& source, const at::Tensor& target, const at::Tensor& source_mask = {},
                     const at::Tensor& target_mask = {});
  // What follows `target`, as LinformerLM::generate() has it; the source is encoded once.
  at::Tensor generate(const at::Tensor& source, const at::Tensor& target, const GenerateOptions& options,
                      const at::Tensor& source_mask = {});

 private:
  LinformerEncoder encoder_{nullptr};
  LinformerLM decoder_{nullptr};
};
TORCH_MODULE(LinformerEncDec);

}  // namespace perceive::models
