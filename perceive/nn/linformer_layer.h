// Layers of projected attention and an MLP, each with a LayerNorm before and a residual around it.
//
// Shapes: B batch, n rows of C channels, m rows of a context.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/modules/normalization.h>
#include <torch/nn/pimpl.h>

#include <string>

#include "perceive/nn/linformer_attention.h"
#include "perceive/nn/mlp.h"

namespace perceive::nn {

struct LinformerLayerOptions {
  LinformerAttentionOptions attention;
  MlpOptions mlp{.widening_factor = 4};
  double residual_dropout = 0.0;
  bool activation_checkpointing = false;
};
template <class Visitor>
void visit(LinformerLayerOptions& o, Visitor&& field) {
  visit(o.attention, field);
  visit(o.mlp, field);
  field("residual_dropout", o.residual_dropout, "probability of dropping an element of what attention and MLP give");
  field("activation_checkpointing", o.activation_checkpointing,
        "keep only the layer's input for the backward pass and compute the rest again");
}
// Throws core::ConfigError; `key` is put in front of each option's name.
void check(const LinformerLayerOptions& options, int64_t channels, const std::string& key = "");
// Without the projections along the length, where all layers share one.
double parameter_count(const LinformerLayerOptions& options, int64_t channels);

// a = x + attention(norm(x)), then a + mlp(a), which has a norm of its own. Registers norm, attention and mlp.
class LinformerLayerImpl : public torch::nn::Module {
 public:
  // projector: one that other layers have, too; without, the attention makes its own.
  LinformerLayerImpl(const LinformerLayerOptions& options, int64_t channels,
                     const LengthProjector& projector = nullptr);
  // x [B, n, C] to the same sizes. mask: bool [B, n], true where a row is read by the others.
  at::Tensor forward(const at::Tensor& x, const at::Tensor& mask = {});

 private:
  LinformerLayerOptions options_;
  torch::nn::LayerNorm norm_{nullptr};
  LinformerAttention attention_{nullptr};
  Mlp mlp_{nullptr};
};
TORCH_MODULE(LinformerLayer);

}  // namespace perceive::nn
