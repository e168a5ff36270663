// The Linformer (Wang et al. 2020, arXiv 2006.04768): layers of attention to keys and values that are projected along
// the length, in time and memory linear in it.
//
// Shapes: B batch, n rows of C channels.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/modules/normalization.h>
#include <torch/nn/pimpl.h>

#include <optional>
#include <string>
#include <vector>

#include "perceive/models/generate.h"
#include "perceive/nn/linear.h"
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
// Throws core::ConfigError, also for a model whose parameters exceed the machine's memory; `key` is put in front of
// each option's name.
void check(const LinformerOptions& options, const std::string& key = "");
// Distinct parameters.
double parameter_count(const LinformerOptions& options,
                       const std::optional<nn::ReadingOptions>& reading = std::nullopt);

// Rows in, as many rows out. Registers layers and norm, the LayerNorm behind the last of them; a projection that all
// layers share has a name in each.
class LinformerImpl : public torch::nn::Module {
 public:
  // reading: every layer also reads a context, as those of a decoder do.
  explicit LinformerImpl(const LinformerOptions& options,
                         const std::optional<nn::ReadingOptions>& reading = std::nullopt);
  // x [B, n, C], n up to the length, to the same sizes. mask: bool [B, n], true where a row counts: nothing of the
  // others, NaN included, reaches a row that does. context [B, m, its channels] and its mask [B, m] likewise. Throws
  // c10::ValueError that names what does not fit.
  at::Tensor forward(at::Tensor x, const at::Tensor& mask = {}, const at::Tensor& context = {},
                     const at::Tensor& context_mask = {});

 private:
  LinformerOptions options_;
  std::vector<nn::LinformerLayer> layers_;
  torch::nn::LayerNorm norm_{nullptr};
};
TORCH_MODULE(Linformer);

struct LinformerEncoderOptions : LinformerOptions {
  int64_t vocabulary = 256;
};
template <class Visitor>
void visit(LinformerEncoderOptions& o, Visitor&& field) {
  field("vocabulary", o.vocabulary, "token ids are 0 … vocabulary - 1");
  visit(static_cast<LinformerOptions&>(o), field);
}
void check(const LinformerEncoderOptions& options, const std::string& key = "");
double parameter_count(const LinformerEncoderOptions& options);

// A Linformer over embedded tokens and places. Registers input (embedding, positions) and model.
class LinformerEncoderImpl : public torch::nn::Module {
 public:
  explicit LinformerEncoderImpl(const LinformerEncoderOptions& options,
                                const std::optional<nn::ReadingOptions>& reading = std::nullopt);
  // ids int64 or int32 [B, n], n up to the length, to rows [B, n, C]. mask: bool [B, n], true where a token counts; the
  // context as above. Throws c10::ValueError that names what does not fit.
  at::Tensor encode(const at::Tensor& ids, const at::Tensor& mask = {}, const at::Tensor& context = {},
                    const at::Tensor& context_mask = {});

 protected:
  nn::TokenInput input_{nullptr};

 private:
  double dropout_;
  Linformer model_{nullptr};
};
TORCH_MODULE(LinformerEncoder);

struct LinformerLMOptions : LinformerEncoderOptions {
  bool tied_output = false;
};
template <class Visitor>
void visit(LinformerLMOptions& o, Visitor&& field) {
  visit(static_cast<LinformerEncoderOptions&>(o), field);
  field("tied_output", o.tied_output, "the embeddings are also the weights of the logits");
}
void check(const LinformerLMOptions& options, const std::string& key = "");
double parameter_count(const LinformerLMOptions& options);

// An encoder and the logits of each place. Registers output, or only bias where the embeddings are its weights.
class LinformerLMImpl : public LinformerEncoderImpl {
 public:
  explicit LinformerLMImpl(const LinformerLMOptions& options,
                           const std::optional<nn::ReadingOptions>& reading = std::nullopt);
  // Logits [B, n, vocabulary]; see encode().
  at::Tensor forward(const at::Tensor& ids, const at::Tensor& mask = {}, const at::Tensor& context = {},
                     const at::Tensor& context_mask = {});
  // The logits [K, vocabulary] of the places where `places` [B, n], bool, is true, one row after the other.
  at::Tensor forward_at(const at::Tensor& ids, const at::Tensor& mask, const at::Tensor& places);
  // ids [B, n] and what follows them: [B, n + tokens], or less where every row has ended. The model must be causal.
  // Without gradients; in training mode dropout makes it random: call eval() first.
  at::Tensor generate(const at::Tensor& ids, const GenerateOptions& options, const at::Tensor& context = {},
                      const at::Tensor& context_mask = {});

 private:
  at::Tensor logits(const at::Tensor& rows);

  LinformerLMOptions options_;
  nn::Linear output_{nullptr};
  at::Tensor bias_;
};
TORCH_MODULE(LinformerLM);

}  // namespace perceive::models
