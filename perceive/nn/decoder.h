// The Perceiver IO decoder: output queries that read the latents.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <memory>
#include <utility>

#include "perceive/nn/layer.h"
#include "perceive/nn/output_adapter.h"

namespace perceive::nn {

struct DecoderOptions {
  LayerOptions cross;
};
template <class Visitor>
void visit(DecoderOptions& o, Visitor&& field) {
  field("cross", o.cross, "the layer in which the output queries read the latents");
}
void check(const DecoderOptions& options, int64_t query_channels, int64_t latent_channels, const std::string& key = "");

// Registers output (the adapter) and cross.
class DecoderImpl : public torch::nn::Module {
 public:
  DecoderImpl(const DecoderOptions& options, std::shared_ptr<OutputAdapter> output, int64_t latent_channels);
  // latents [B, N, D]; gives what the adapter makes of the answers [B, O, F].
  at::Tensor forward(const at::Tensor& latents);
  // Where the output queries look: [B, H, O, N].
  at::Tensor weights(const at::Tensor& latents);

 private:
  std::shared_ptr<OutputAdapter> output_;
  CrossAttentionLayer cross_{nullptr};
};
TORCH_MODULE(Decoder);

}  // namespace perceive::nn
