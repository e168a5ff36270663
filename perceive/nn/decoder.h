// The Perceiver IO decoder: output queries that read the latents.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <functional>
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

// Registers output (the adapter) and cross. Shapes: B batch, N latents of D channels, O output rows, R rows of a block.
class DecoderImpl : public torch::nn::Module {
 public:
  DecoderImpl(const DecoderOptions& options, std::shared_ptr<OutputAdapter> output, int64_t latent_channels);
  // latents [B, N, D]; gives what the adapter makes of the answers [B, O, F].
  at::Tensor forward(const at::Tensor& latents);
  // The output rows first … first + count - 1 only, [B, count, E].
  at::Tensor forward_rows(const at::Tensor& latents, int64_t first, int64_t count);
  // Of the rows 0 … R - 1 those where `places` [B, R], bool, is true, one sample after the other: [K, E]. Each costs no
  // more of the adapter than it has to.
  at::Tensor forward_at(const at::Tensor& latents, const at::Tensor& places);
  // body(outputs [B, R, E], first) for the rows first, first + 1, …, at most `block` of them, in order: the same
  // numbers where all O rows would not fit in memory. Without gradients.
  void decode(const at::Tensor& latents, int64_t block,
              const std::function<void(const at::Tensor& outputs, int64_t first)>& body);
  // The sum over these blocks of loss(outputs, first), one number that sums over its rows. Gradients reach the latents
  // and this module's parameters, and nothing else that `loss` reads; each block runs forward and backward here, so
  // that no more than one has a graph (nn/block_loss.h).
  at::Tensor loss(const at::Tensor& latents, int64_t block,
                  const std::function<at::Tensor(const at::Tensor& outputs, int64_t first)>& loss);
  // Where the output queries look: [B, H, O, N].
  at::Tensor weights(const at::Tensor& latents);

  OutputAdapter& output() { return *output_; }

 private:
  at::Tensor outputs(const at::Tensor& latents, const at::Tensor& queries);

  std::shared_ptr<OutputAdapter> output_;
  CrossAttentionLayer cross_{nullptr};
};
TORCH_MODULE(Decoder);

}  // namespace perceive::nn
