// Layers of projected attention and an MLP, each with a LayerNorm before and a residual around it.
//
// Shapes: B batch, n rows of C channels, m rows of a context.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/modules/normalization.h>
#include <torch/nn/pimpl.h>

#include <optional>
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

// How the layers of a decoder read the rows of an encoder.
struct ReadingOptions {
  LinformerAttentionOptions attention;
  int64_t context_channels = 0;
};

// Projections along the length that all layers of a stack have in common; null: each makes its own.
struct SharedProjectors {
  LengthProjector own{nullptr}, context{nullptr};
};

// a = x + attention(norm(x)); where there is a context a = a + cross(cross_norm(a), context); then a + mlp(a), which
// has a norm of its own. Registers norm, attention, cross_norm and cross where it reads, and mlp.
class LinformerLayerImpl : public torch::nn::Module {
 public:
  LinformerLayerImpl(const LinformerLayerOptions& options, int64_t channels,
                     const std::optional<ReadingOptions>& reading = std::nullopt, const SharedProjectors& shared = {});
  // x [B, n, C] to the same sizes. mask: bool [B, n], true where a row is read by the others; context
  // [B, m, context_channels] and its mask [B, m] likewise.
  at::Tensor forward(const at::Tensor& x, const at::Tensor& mask = {}, const at::Tensor& context = {},
                     const at::Tensor& context_mask = {});

 private:
  LinformerLayerOptions options_;
  torch::nn::LayerNorm norm_{nullptr}, cross_norm_{nullptr};
  LinformerAttention attention_{nullptr}, cross_{nullptr};
  Mlp mlp_{nullptr};
};
TORCH_MODULE(LinformerLayer);

}  // namespace perceive::nn
