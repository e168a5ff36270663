// The models of the tasks on text.
#include "cli/tasks/text_models.h"

#include <filesystem>

#include "cli/tasks/link.h"
#include "perceive/core/log.h"
#include "perceive/io/names.h"
#include "perceive/models/dialects/perceiver_io/masked_lm.h"
#include "perceive/models/dialects/perceiver_io/text_classifier.h"
#include "perceive/train/run_folder.h"

namespace perceive::cli {
namespace {

namespace fs = std::filesystem;
using models::perceiver_io::TextEncoderConfig;

constexpr int64_t kChannels = 64;

template <class Config>
void set_script_defaults(Config& model) {
  model.num_latents = kChannels;
  model.num_latent_channels = kChannels;
  model.encoder.num_input_channels = kChannels;
  model.encoder.num_cross_attention_heads = 4;
  model.encoder.num_self_attention_heads = 4;
  model.encoder.num_self_attention_layers_per_block = 6;
  model.encoder.num_self_attention_blocks = 3;
  model.encoder.first_cross_attention_layer_shared = false;
  model.encoder.first_self_attention_block_shared = false;
}

nn::TokenInputOptions token_input() {
  nn::TokenInputOptions input;
  input.channels = kChannels;
  return input;
}

// ---- Links

void link_encoder(TextEncoderConfig& encoder, const data::TextDataModule& data) {
  const TextEncoderConfig standard;
  link_option("model.encoder.vocab_size", encoder.vocab_size, standard.vocab_size, data.vocab_size());
  link_option("model.encoder.max_seq_len", encoder.max_seq_len, standard.max_seq_len, data.max_seq_len());
}

nn::TokenInputOptions& link_input(models::PerceiverIOOptions& model, const data::TextDataModule& data) {
  auto* const input = std::get_if<nn::TokenInputOptions>(&model.input);
  if (!input) throw core::ConfigError("model.input: this task reads text; leave it out, or choose the class tokens");
  const nn::TokenInputOptions standard;
  link_option("model.input.vocabulary", input->vocabulary, standard.vocabulary, data.vocab_size());
  link_option("model.input.max_length", input->max_length, standard.max_length, data.max_seq_len());
  return *input;
}

void link(MaskedLanguageModelOptions& model, const data::TextDataModule& data) {
  link_encoder(model.encoder, data);
  const models::perceiver_io::TextDecoderConfig standard;
  link_option("model.decoder.vocab_size", model.decoder.vocab_size, standard.vocab_size, data.vocab_size());
  link_option("model.decoder.max_seq_len", model.decoder.max_seq_len, standard.max_seq_len, data.max_seq_len());
}

void link(NativeMaskedLMOptions& model, const data::TextDataModule& data) {
  link_input(model, data);
  auto* const output = std::get_if<nn::TokenOutputOptions>(&model.output);
  if (!output)
    throw core::ConfigError("model.output: this task gives tokens; leave it out, or choose the class tokens");
  const nn::TokenOutputOptions standard;
  link_option("model.output.vocabulary", output->vocabulary, standard.vocabulary, data.vocab_size());
  link_option("model.output.length", output->length, standard.length, data.max_seq_len());
}

void link(models::LinformerLMOptions& model, const data::TextDataModule& data) {
  const models::LinformerLMOptions standard;
  auto& length = model.layer.attention.projection.length;
  link_option("model.vocabulary", model.vocabulary, standard.vocabulary, data.vocab_size());
  link_option("model.length", length, standard.layer.attention.projection.length, data.max_seq_len());
}

void link(TextClassifierOptions& model, const data::TextDataModule& data) {
  link_encoder(model.encoder, data);
  link_option("model.decoder.num_classes", model.decoder.num_classes, TextClassifierOptions().decoder.num_classes,
              static_cast<int64_t>(data.class_names().size()));
}

void link(NativeTextClassifierOptions& model, const data::TextDataModule& data) {
  link_input(model, data);
  auto* const output = std::get_if<nn::ClassificationOutputOptions>(&model.output);
  if (!output) {
    throw core::ConfigError("model.output: this task gives classes; leave it out, or choose the class classification");
  }
  link_option("model.output.num_classes", output->num_classes, nn::ClassificationOutputOptions{}.num_classes,
              static_cast<int64_t>(data.class_names().size()));
}

// ---- Making

void require_one_query(const char* key, int64_t queries) {
  if (queries != 1) {
    throw core::ConfigError(fmt::format("{}: expected 1, since a text has one label; got {}", key, queries));
  }
}

// A dialect's mask is true where a token is padding.
TokenModel make(const MaskedLanguageModelOptions& options) {
  models::perceiver_io::MaskedLM model(options);
  return {model.ptr(), [model](const at::Tensor& ids, const at::Tensor& mask, const at::Tensor& places) mutable {
            const auto padding = mask.logical_not();
            return places.defined() ? model->forward_at(ids, padding, places) : model->forward(ids, padding);
          }};
}
template <class Model>
TokenModel of_native(Model model) {
  return {model.ptr(), [model](const at::Tensor& ids, const at::Tensor& mask, const at::Tensor& places) mutable {
            return places.defined() ? model->forward_at(ids, mask, places) : model->forward(ids, mask);
          }};
}
TokenModel make(const NativeMaskedLMOptions& options) {
  return of_native(models::PerceiverIO(options));
}
TokenModel make(const MaskedLinformerOptions& options) {
  if (options.layer.attention.causal) {
    throw core::ConfigError("causal: expected false, since a masked token is guessed from both sides; got true");
  }
  return of_native(models::LinformerLM(options));
}
TextClassifierModel make(const TextClassifierOptions& options) {
  require_one_query("decoder.num_output_queries", options.decoder.num_output_queries);
  models::perceiver_io::TextClassifier model(options);
  return {model.ptr(), [model](const at::Tensor& ids, const at::Tensor& mask) mutable {
            return model->forward(ids, mask.logical_not());
          }};
}
TextClassifierModel make(const NativeTextClassifierOptions& options) {
  require_one_query("output.num_queries", std::get<nn::ClassificationOutputOptions>(options.output).num_queries);
  models::PerceiverIO model(options);
  if (options.freeze_encoder) {
    for (auto& item : model->named_parameters()) {
      if (item.key().starts_with("input.") || item.key().starts_with("encoder.")) item.value().requires_grad_(false);
    }
  }
  return {model.ptr(),
          [model](const at::Tensor& ids, const at::Tensor& mask) mutable { return model->forward(ids, mask); }};
}

// ---- Transfer

struct Source {
  io::Tensors tensors;
  std::string origin;
};

Source weights_of(const std::string& checkpoint) {
  std::error_code error;
  auto file = fs::path(checkpoint);
  if (fs::is_directory(file, error)) file = train::find_checkpoint(checkpoint, ".") / "model.safetensors";
  return {io::without_wrapper(io::load_tensors(file)), file.string()};
}

// The names of encoders in the dialect's masked language model and classifier; native models have the same in both.
struct Encoders {
  std::vector<std::pair<std::string, std::string>> prefixes;  // in the checkpoint, in the model
};
Encoders encoders_of(const TextClassifierOptions&) {
  return {{{"encoder.", "0."}}};
}
Encoders encoders_of(const NativeTextClassifierOptions&) {
  return {{{"encoder.", "encoder."}, {"input.", "input."}}};
}

// What `module` is to hold: its own tensors, but an encoder from the source.
io::Tensors with_encoder(const Source& source, const Encoders& encoders, const torch::nn::Module& module) {
  io::Tensors tensors;
  for (const auto& [name, tensor] : io::named_tensors(module)) {
    const auto of_encoder = [&, &key = name](const auto& prefix) { return key.starts_with(prefix.second); };
    if (std::none_of(encoders.prefixes.begin(), encoders.prefixes.end(), of_encoder)) tensors.emplace(name, tensor);
  }
  for (const auto& [name, tensor] : source.tensors) {
    for (const auto& [from, to] : encoders.prefixes) {
      if (name.starts_with(from)) tensors.emplace(to + name.substr(from.size()), tensor);
    }
  }
  return tensors;
}

}  // namespace

MaskedLanguageModelOptions::MaskedLanguageModelOptions() {
  set_script_defaults(*this);
  decoder.num_cross_attention_heads = 4;
}
NativeMaskedLMOptions::NativeMaskedLMOptions() {
  input = token_input();
  output = nn::TokenOutputOptions();
}
TextClassifierOptions::TextClassifierOptions() {
  set_script_defaults(*this);
  decoder.num_output_query_channels = kChannels;
  decoder.num_cross_attention_heads = 1;
  decoder.num_classes = 2;
}
NativeTextClassifierOptions::NativeTextClassifierOptions() {
  input = token_input();
  output = nn::ClassificationOutputOptions();
}

void link_model(MaskedLMOptions& options, const data::TextDataModule& data) {
  std::visit([&](auto& model) { link(model, data); }, options);
}
void link_model(TextClassifierModelOptions& options, const data::TextDataModule& data) {
  std::visit([&](auto& model) { link(model, data); }, options);
}
void link_model(CausalLinformerOptions& options, const data::TextDataModule& data) {
  link(options, data);
}

TokenModel make_model(const MaskedLMOptions& options) {
  return std::visit([](const auto& model) { return make(model); }, options);
}
TextClassifierModel make_model(const TextClassifierModelOptions& options) {
  return std::visit([](const auto& model) { return make(model); }, options);
}

TokenModel token_model(models::LinformerLM model) {
  return of_native(std::move(model));
}

void transfer(const TextClassifierModelOptions& options, torch::nn::Module& module) {
  const Transfer& from = std::visit([](const auto& model) -> const Transfer& { return model; }, options);
  const auto& checkpoint = from.mlm_ckpt ? from.mlm_ckpt : from.clf_ckpt;
  if (!checkpoint) return;
  auto source = weights_of(*checkpoint);
  if (from.mlm_ckpt) {
    const auto encoders = std::visit([](const auto& model) { return encoders_of(model); }, options);
    source.tensors = with_encoder(source, encoders, module);
  }
  for (const auto& notice : io::load_into(module, source.tensors, source.origin)) core::log_info(notice);
  core::log_info(fmt::format("{} from {}", from.mlm_ckpt ? "encoder" : "weights", source.origin));
}

}  // namespace perceive::cli
