// Attention and MLP with their residuals: the one layer that every model here is built of.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <vector>

#include "perceive/nn/attention.h"
#include "perceive/nn/mlp.h"

namespace perceive::nn {

struct LayerOptions {
  AttentionOptions attention;
  MlpOptions mlp;
  bool attention_residual = true;
  bool mlp_residual = true;
  double residual_dropout = 0.0;
  double mlp_dropout = 0.0;
  bool activation_checkpointing = false;
};
template <class Visitor>
void visit(LayerOptions& o, Visitor&& field) {
  visit(o.attention, field);
  visit(o.mlp, field);
  field("attention_residual", o.attention_residual, "add the layer's input to what attention gives");
  field("mlp_residual", o.mlp_residual, "add the MLP's input to what the MLP gives");
  field("residual_dropout", o.residual_dropout, "probability of dropping an element of what attention and MLP give");
  field("mlp_dropout", o.mlp_dropout, "the same of what the MLP gives, only");
  field("activation_checkpointing", o.activation_checkpointing,
        "keep only the layer's input for the backward pass and compute the rest again");
}

void check(const LayerOptions& options, const AttentionWidths& widths, const std::string& key = "");
double parameter_count(const LayerOptions& options, const AttentionWidths& widths);

// What a model needs of a layer in which latents read an input, or each other: ours are below, and others can stand in
// their place (nn/block.h).
class CrossLayer : public torch::nn::Module {
 public:
  // x [B | 1, N, C] over the keys of `context`; [B, N, C].
  virtual at::Tensor forward(const at::Tensor& x, const Context& context) = 0;
  // The attention weights [B, H, N, M] of the same call, before dropout.
  virtual at::Tensor weights(const at::Tensor& x, const Context& context);
};
class SelfLayer : public torch::nn::Module {
 public:
  // x [B, N, C] to [B, N, C].
  virtual at::Tensor forward(const at::Tensor& x) = 0;
  // The attention weights [B, H, N, N] of the same call, before dropout.
  virtual at::Tensor weights(const at::Tensor& x);
};

// What both kinds of layer share: a = x + attention(x, …), then a + mlp(a), each residual where it is switched on.
// Registers attention and mlp.
template <class Base>
class AttentionLayer : public Base {
 protected:
  AttentionLayer(const LayerOptions& options, const AttentionWidths& widths);
  at::Tensor finish(const at::Tensor& x, const at::Tensor& attended);

  LayerOptions options_;
  Attention attention_{nullptr};
  Mlp mlp_{nullptr};
};

class CrossAttentionLayerImpl : public AttentionLayer<CrossLayer> {
 public:
  CrossAttentionLayerImpl(const LayerOptions& options, int64_t query_channels, int64_t context_channels);
  at::Tensor forward(const at::Tensor& x, const Context& context) override;
  at::Tensor weights(const at::Tensor& x, const Context& context) override { return attention_->weights(x, context); }
};
TORCH_MODULE(CrossAttentionLayer);

class SelfAttentionLayerImpl : public AttentionLayer<SelfLayer> {
 public:
  SelfAttentionLayerImpl(const LayerOptions& options, int64_t channels);
  at::Tensor forward(const at::Tensor& x) override;
  at::Tensor weights(const at::Tensor& x) override { return attention_->weights(x); }
};
TORCH_MODULE(SelfAttentionLayer);

// Layers one after the other, each with weights of its own, registered as 0, 1, ….
class SelfAttentionBlockImpl : public torch::nn::Module {
 public:
  SelfAttentionBlockImpl(const LayerOptions& options, int64_t channels, int64_t layers);
  at::Tensor forward(at::Tensor x);

 private:
  std::vector<SelfAttentionLayer> layers_;
};
TORCH_MODULE(SelfAttentionBlock);

}  // namespace perceive::nn
