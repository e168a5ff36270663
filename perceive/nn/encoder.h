// The Perceiver's encoder: latents that read the input by cross-attention and think by self-attention.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <utility>

#include "perceive/nn/layer.h"

namespace perceive::nn {

struct EncoderOptions {
  int64_t num_latents = 32;
  int64_t num_latent_channels = 128;
  LayerOptions cross;
  int64_t num_cross_layers = 1;
  bool first_cross_layer_shared = false;
  LayerOptions self{.attention = {.heads = 4}};
  int64_t num_self_layers_per_block = 3;
  int64_t num_self_blocks = 1;
  bool first_self_block_shared = true;
};
template <class Visitor>
void visit(EncoderOptions& o, Visitor&& field) {
  field("num_latents", o.num_latents, "latents");
  field("num_latent_channels", o.num_latent_channels, "channels of a latent");
  field("cross", o.cross, "the layers in which the latents read the input");
  field("num_cross_layers", o.num_cross_layers, "times the input is read, before the first blocks; at most the blocks");
  field("first_cross_layer_shared", o.first_cross_layer_shared, "the first reading has the weights of the later ones");
  field("self", o.self, "the layers in which the latents read each other");
  field("num_self_layers_per_block", o.num_self_layers_per_block, "self-attention layers of a block");
  field("num_self_blocks", o.num_self_blocks, "times a block is applied");
  field("first_self_block_shared", o.first_self_block_shared, "the first block has the weights of the later ones");
}
// input_channels: width of a key of the source.
void check(const EncoderOptions& options, int64_t input_channels, const std::string& key = "");
// Distinct parameters; shared layers count once.
double parameter_count(const EncoderOptions& options, int64_t input_channels);
// Numbers kept for the backward pass of one sample, at the very least: the input of each layer.
double kept_numbers(const EncoderOptions& options);

// Cross-attention precedes each of the first num_cross_layers blocks. The first of each kind has weights of its own
// unless shared; all later ones share theirs. Registers latents, cross, block, and where they have weights of their
// own first_cross and first_block.
class EncoderImpl : public torch::nn::Module {
 public:
  EncoderImpl(const EncoderOptions& options, int64_t input_channels);
  // [B, num_latents, num_latent_channels]
  at::Tensor forward(const ops::Source& source);
  // The same, with the weights [B, H, N, M] of the last cross-attention.
  std::pair<at::Tensor, at::Tensor> forward_with_weights(const ops::Source& source);

 private:
  // reader: what enters the last cross-attention.
  at::Tensor run(const ops::Source& source, at::Tensor* reader);

  EncoderOptions options_;
  at::Tensor latents_;
  CrossAttentionLayer cross_{nullptr}, first_cross_{nullptr};
  SelfAttentionBlock block_{nullptr}, first_block_{nullptr};
};
TORCH_MODULE(Encoder);

}  // namespace perceive::nn
