// The models of the tasks on text: their options, and what is linked, made and loaded of any of them.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "perceive/data/text_module.h"
#include "perceive/models/dialects/perceiver_io/config.h"
#include "perceive/models/linformer.h"
#include "perceive/train/language_model.h"

namespace perceive::cli {

// What a masked language model is asked to fill now and then.
struct MaskedSamples {
  std::vector<std::string> masked_samples = {"I have watched this <MASK> and it was awesome",
                                             "I have <MASK> this movie and <MASK> was really terrible"};
  int64_t num_predictions = 5;
};
template <class Visitor>
void visit(MaskedSamples& o, Visitor&& field) {
  field("masked_samples", o.masked_samples, "texts with <MASK>, filled after each validation");
  field("num_predictions", o.num_predictions, "answers to each of them");
}

// With the defaults of perceiver-io's script, not of its configuration classes.
struct MaskedLanguageModelOptions : models::perceiver_io::MaskedLMConfig, MaskedSamples {
  static constexpr const char* kName = "MaskedLanguageModel";
  static constexpr std::array kAliases{"LitMaskedLanguageModel"};
  MaskedLanguageModelOptions();
};
template <class Visitor>
void visit(MaskedLanguageModelOptions& o, Visitor&& field) {
  visit(static_cast<models::perceiver_io::MaskedLMConfig&>(o), field);
  visit(static_cast<MaskedSamples&>(o), field);
}
// The native model; it is validated on the same masks each time.
struct NativeMaskedLMOptions : models::PerceiverIOOptions, MaskedSamples {
  static constexpr const char* kName = "PerceiverIO";
  NativeMaskedLMOptions();
};
template <class Visitor>
void visit(NativeMaskedLMOptions& o, Visitor&& field) {
  visit(static_cast<models::PerceiverIOOptions&>(o), field);
  visit(static_cast<MaskedSamples&>(o), field);
}
struct MaskedLinformerOptions : models::LinformerLMOptions, MaskedSamples {
  static constexpr const char* kName = "Linformer";
};
template <class Visitor>
void visit(MaskedLinformerOptions& o, Visitor&& field) {
  visit(static_cast<models::LinformerLMOptions&>(o), field);
  visit(static_cast<MaskedSamples&>(o), field);
}
using MaskedLMOptions = std::variant<MaskedLanguageModelOptions, NativeMaskedLMOptions, MaskedLinformerOptions>;

// What a causal language model is asked to go on with now and then.
struct Prompts {
  std::vector<std::string> prompts = {"The "};
  models::GenerateOptions generate{.tokens = 100, .temperature = 0.8};
};
template <class Visitor>
void visit(Prompts& o, Visitor&& field) {
  field("prompts", o.prompts, "texts that are continued after each validation");
  field("generate", o.generate, "how, and how predict does it");
}
struct CausalLinformerOptions : models::LinformerLMOptions, Prompts {
  static constexpr const char* kName = "Linformer";
  CausalLinformerOptions() { layer.attention.causal = true; }
};
template <class Visitor>
void visit(CausalLinformerOptions& o, Visitor&& field) {
  visit(static_cast<models::LinformerLMOptions&>(o), field);
  visit(static_cast<Prompts&>(o), field);
}

// Weights that a text classifier begins with.
struct Transfer {
  std::optional<std::string> mlm_ckpt, clf_ckpt;
};
template <class Visitor>
void visit(Transfer& o, Visitor&& field) {
  field("mlm_ckpt", o.mlm_ckpt, "checkpoint or run of a masked language model, whose encoder this one begins with");
  field("clf_ckpt", o.clf_ckpt, "checkpoint or run of a classifier, which this one begins as; mlm_ckpt goes first");
}

struct TextClassifierOptions : models::perceiver_io::TextClassifierConfig, Transfer {
  static constexpr const char* kName = "TextClassifier";
  static constexpr std::array kAliases{"LitTextClassifier"};
  TextClassifierOptions();
};
template <class Visitor>
void visit(TextClassifierOptions& o, Visitor&& field) {
  visit(static_cast<models::perceiver_io::TextClassifierConfig&>(o), field);
  visit(static_cast<Transfer&>(o), field);
}
struct NativeTextClassifierOptions : models::PerceiverIOOptions, Transfer {
  static constexpr const char* kName = "PerceiverIO";
  NativeTextClassifierOptions();
  bool freeze_encoder = false;
};
template <class Visitor>
void visit(NativeTextClassifierOptions& o, Visitor&& field) {
  visit(static_cast<models::PerceiverIOOptions&>(o), field);
  field("freeze_encoder", o.freeze_encoder, "no gradients for input and encoder");
  visit(static_cast<Transfer&>(o), field);
}
using TextClassifierModelOptions = std::variant<TextClassifierOptions, NativeTextClassifierOptions>;

// Fill in what the data decides. Throw core::ConfigError where someone said otherwise.
void link_model(MaskedLMOptions& options, const data::TextDataModule& data);
void link_model(TextClassifierModelOptions& options, const data::TextDataModule& data);
void link_model(CausalLinformerOptions& options, const data::TextDataModule& data);

// Of a language model.
struct TokenModel {
  std::shared_ptr<torch::nn::Module> module;  // its parameters' names are a checkpoint's
  train::LanguageModel::Forward forward;
};
struct TextClassifierModel {
  std::shared_ptr<torch::nn::Module> module;
  // Token ids [B, l] and mask [B, l], true where a token counts, to logits [B, classes].
  std::function<at::Tensor(const at::Tensor& ids, const at::Tensor& mask)> forward;
};
// Throw core::ConfigError.
TokenModel make_model(const MaskedLMOptions& options);
TextClassifierModel make_model(const TextClassifierModelOptions& options);
TokenModel token_model(models::LinformerLM model);

// Loads what Transfer names into the model; a run of perceiver-io 0.2.1 (.ckpt) as well as one of ours. Throws
// core::FileError.
void transfer(const TextClassifierModelOptions& options, torch::nn::Module& module);

}  // namespace perceive::cli
