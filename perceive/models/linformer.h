// The Linformer (Wang et al. 2020, arXiv 2006.04768): layers of attention to keys and values that are projected along
// the length, in time and memory linear in it.
//
// Shapes: B batch, n rows of C channels.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/normalization.h>
#include <torch/nn/pimpl.h>

#include <vector>

#include "perceive/nn/linformer_layer.h"
#include "perceive/nn/sequence_input.h"

namespace perceive::models {

struct LinformerOptions {
  int64_t channels = 128;
  int64_t depth = 2;
  nn::LinformerLayerOptions layer;
};
template <class Visitor>
void visit(LinformerOptions& o, Visitor&& field) {
  field("channels", o.channels, "channels of a row");
  field("depth", o.depth, "layers");
  visit(o.layer, field);
}
// Throws core::ConfigError, also for a model whose parameters exceed the machine's memory.
void check(const LinformerOptions& options);
// Distinct parameters.
double parameter_count(const LinformerOptions& options);

// Rows in, as many rows out. Registers layers and norm, the LayerNorm behind the last of them; a projection that all
// layers share has a name in each.
class LinformerImpl : public torch::nn::Module {
 public:
  explicit LinformerImpl(const LinformerOptions& options);
  // x [B, n, C], n up to the length, to the same sizes. mask: bool [B, n], true where a row counts: nothing of the
  // others, NaN included, reaches a row that does. Throws c10::ValueError that names what does not fit.
  at::Tensor forward(at::Tensor x, const at::Tensor& mask = {});

 private:
  LinformerOptions options_;
  std::vector<nn::LinformerLayer> layers_;
  torch::nn::LayerNorm norm_{nullptr};
};
TORCH_MODULE(Linformer);

struct LinformerLMOptions : LinformerOptions {
  int64_t vocabulary = 256;
  bool tied_output = false;
};
template <class Visitor>
void visit(LinformerLMOptions& o, Visitor&& field) {
  field("vocabulary", o.vocabulary, "token ids are 0 … vocabulary - 1");
  visit(static_cast<LinformerOptions&>(o), field);
  field("tied_output", o.tied_output, "the embeddings are also the weights of the logits");
}
void check(const LinformerLMOptions& options);
double parameter_count(const LinformerLMOptions& options);

// A Linformer over embedded tokens and places, and the logits of each place. Registers input (embedding, positions),
// model, and output, or only bias where the embeddings are the weights of the logits.
class LinformerLMImpl : public torch::nn::Module {
 public:
  explicit LinformerLMImpl(const LinformerLMOptions& options);
  // ids int64 or int32 [B, n], n up to the length, to logits [B, n, vocabulary]. mask: bool [B, n], true where a token
  // counts. Throws c10::ValueError that names what does not fit.
  at::Tensor forward(const at::Tensor& ids, const at::Tensor& mask = {});
  const LinformerLMOptions& options() const { return options_; }

 private:
  LinformerLMOptions options_;
  nn::TokenInput input_{nullptr};
  Linformer model_{nullptr};
  torch::nn::Linear output_{nullptr};
  at::Tensor bias_;
};
TORCH_MODULE(LinformerLM);

}  // namespace perceive::models
