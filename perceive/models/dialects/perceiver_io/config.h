// The configuration of perceiver-io 0.2.1 (krasserm, Apache-2.0), by its own names and with its own defaults.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "perceive/models/perceiver_io.h"

namespace perceive::models::perceiver_io {

struct ComponentConfig {
  int64_t num_cross_attention_heads = 8;
  std::optional<int64_t> num_cross_attention_qk_channels;
  std::optional<int64_t> num_cross_attention_v_channels;
  int64_t cross_attention_widening_factor = 1;
  double dropout = 0.0;
  bool freeze = false;
};
template <class Visitor>
void visit(ComponentConfig& o, Visitor&& field) {
  field("num_cross_attention_heads", o.num_cross_attention_heads,
        "heads of cross-attention; must divide its qk and v channels");
  field("num_cross_attention_qk_channels", o.num_cross_attention_qk_channels,
        "query and key channels of cross-attention; default: the query's (image encoder: the input adapter's)");
  field("num_cross_attention_v_channels", o.num_cross_attention_v_channels,
        "value channels of cross-attention; default: its qk channels");
  field("cross_attention_widening_factor", o.cross_attention_widening_factor,
        "hidden width of the MLP behind cross-attention, in widths of its input");
  field("dropout", o.dropout, "dropout of attention weights and of residual branches");
  field("freeze", o.freeze,
        "no gradients for this part; as in the original, only the encoder of text classifiers heeds it");
}

struct EncoderConfig : ComponentConfig {
  int64_t num_cross_attention_layers = 1;
  bool first_cross_attention_layer_shared = false;
  int64_t num_self_attention_heads = 8;
  std::optional<int64_t> num_self_attention_qk_channels;
  std::optional<int64_t> num_self_attention_v_channels;
  int64_t num_self_attention_layers_per_block = 8;
  int64_t num_self_attention_blocks = 1;
  bool first_self_attention_block_shared = true;
  int64_t self_attention_widening_factor = 1;
};
template <class Visitor>
void visit(EncoderConfig& o, Visitor&& field) {
  visit(static_cast<ComponentConfig&>(o), field);
  field("num_cross_attention_layers", o.num_cross_attention_layers, "times the input is read; at most the blocks");
  field("first_cross_attention_layer_shared", o.first_cross_attention_layer_shared,
        "the first reading has the weights of the later ones");
  field("num_self_attention_heads", o.num_self_attention_heads,
        "heads of self-attention; must divide its qk and v channels");
  field("num_self_attention_qk_channels", o.num_self_attention_qk_channels,
        "query and key channels of self-attention; default: the latents'");
  field("num_self_attention_v_channels", o.num_self_attention_v_channels,
        "value channels of self-attention; default: its qk channels");
  field("num_self_attention_layers_per_block", o.num_self_attention_layers_per_block,
        "self-attention layers of a block");
  field("num_self_attention_blocks", o.num_self_attention_blocks, "times a block is applied");
  field("first_self_attention_block_shared", o.first_self_attention_block_shared,
        "the first block has the weights of the later ones");
  field("self_attention_widening_factor", o.self_attention_widening_factor,
        "hidden width of the MLP behind self-attention, in widths of its input");
}

struct ImageEncoderConfig : EncoderConfig {
  std::vector<int64_t> image_shape = {224, 224, 3};
  int64_t num_frequency_bands = 32;
};
template <class Visitor>
void visit(ImageEncoderConfig& o, Visitor&& field) {
  visit(static_cast<EncoderConfig&>(o), field);
  field("image_shape", o.image_shape, "sizes of an image, channels last");
  field("num_frequency_bands", o.num_frequency_bands, "frequencies of the Fourier position features, an axis");
}

struct TextEncoderConfig : EncoderConfig {
  int64_t vocab_size = 10003;
  int64_t max_seq_len = 256;
  int64_t num_input_channels = 64;
};
template <class Visitor>
void visit(TextEncoderConfig& o, Visitor&& field) {
  visit(static_cast<EncoderConfig&>(o), field);
  field("vocab_size", o.vocab_size, "token ids are 0 … vocab_size - 1");
  field("max_seq_len", o.max_seq_len, "tokens of the longest text");
  field("num_input_channels", o.num_input_channels, "channels of a token's embedding");
}

struct ClassificationDecoderConfig : ComponentConfig {
  int64_t num_output_queries = 1;
  int64_t num_output_query_channels = 256;
  int64_t num_classes = 100;
};
template <class Visitor>
void visit(ClassificationDecoderConfig& o, Visitor&& field) {
  visit(static_cast<ComponentConfig&>(o), field);
  field("num_output_queries", o.num_output_queries, "learned output queries; each gives a row of logits");
  field("num_output_query_channels", o.num_output_query_channels, "channels of an output query");
  field("num_classes", o.num_classes, "classes to tell apart");
}

struct TextDecoderConfig : ComponentConfig {
  std::optional<int64_t> num_output_query_channels;
  int64_t vocab_size = 10003;
  int64_t max_seq_len = 512;
};
template <class Visitor>
void visit(TextDecoderConfig& o, Visitor&& field) {
  visit(static_cast<ComponentConfig&>(o), field);
  field("num_output_query_channels", o.num_output_query_channels,
        "channels of an output query; default: those of a token's embedding, whose weights then also give the logits");
  field("vocab_size", o.vocab_size, "token ids to score");
  field("max_seq_len", o.max_seq_len, "places of the longest text, each with a learned output query");
}

template <class Encoder, class Decoder>
struct PerceiverConfig {
  Encoder encoder;
  Decoder decoder;
  int64_t num_latents = 0;
  int64_t num_latent_channels = 0;
  bool activation_checkpointing = false;
};
template <class Encoder, class Decoder, class Visitor>
void visit(PerceiverConfig<Encoder, Decoder>& o, Visitor&& field) {
  field("encoder", o.encoder, "input adapter and encoder");
  field("decoder", o.decoder, "output adapter and decoder");
  field("num_latents", o.num_latents, "latents (required)");
  field("num_latent_channels", o.num_latent_channels, "channels of a latent (required)");
  field("activation_checkpointing", o.activation_checkpointing,
        "keep only the inputs of layers for the backward pass and compute the rest again");
}
using ImageClassifierConfig = PerceiverConfig<ImageEncoderConfig, ClassificationDecoderConfig>;
using TextClassifierConfig = PerceiverConfig<TextEncoderConfig, ClassificationDecoderConfig>;
using MaskedLMConfig = PerceiverConfig<TextEncoderConfig, TextDecoderConfig>;

// Throw core::ConfigError with the original's message, where it has one, and which options to change.
void check(const ImageClassifierConfig& config);
void check(const TextClassifierConfig& config);
void check(const MaskedLMConfig& config);
// The native model that computes the same: no biases on q, k and v, one dropout for weights and residuals, and the
// image encoder's cross-attention as wide as its input.
PerceiverIOOptions native_options(const ImageClassifierConfig& config);
PerceiverIOOptions native_options(const TextClassifierConfig& config);
PerceiverIOOptions native_options(const MaskedLMConfig& config);

}  // namespace perceive::models::perceiver_io
