// What a configuration of perceiver-io 0.2.1 means, and what is wrong with it.
#include "perceive/models/dialects/perceiver_io/config.h"

#include <c10/util/StringUtil.h>

#include "perceive/core/error.h"
#include "perceive/nn/checks.h"

namespace perceive::models::perceiver_io {
namespace {

nn::ImageInputOptions input_options(const ImageEncoderConfig& encoder) {
  return {encoder.image_shape, encoder.num_frequency_bands};
}
nn::TokenInputOptions input_options(const TextEncoderConfig& encoder) {
  return {.vocabulary = encoder.vocab_size,
          .channels = encoder.num_input_channels,
          .max_length = encoder.max_seq_len,
          .scale_embeddings = true,
          .embedding_range = 0.1,
          .position_range = 0.5};
}

nn::ClassificationOutputOptions output_options(const ClassificationDecoderConfig& decoder) {
  return {decoder.num_classes, decoder.num_output_queries, decoder.num_output_query_channels};
}
nn::TokenOutputOptions output_options(const TextDecoderConfig& decoder) {
  return {decoder.vocab_size, decoder.max_seq_len, decoder.num_output_query_channels};
}

// `rule` is the original's name of what heads must divide: num_qk_channels or num_v_channels.
void require_heads(const std::string& heads_key, int64_t heads, const std::string& rule,
                   const std::string& channels_key, int64_t channels, const std::string& default_text) {
  nn::require_at_least(heads_key, heads, 1);
  nn::require_at_least(channels_key, channels, 1);
  if (channels % heads == 0) return;
  throw core::ConfigError(c10::str(rule, " must be divisible by num_heads: ", heads_key, "=", heads,
                                   " does not divide the ", channels, " of ", channels_key, default_text,
                                   ". Use 1 head, or set ", channels_key, " to a multiple of ", heads, "."));
}

struct AttentionKeys {
  std::string where, kind;  // "encoder.", "cross"
  std::string qk_default;   // what qk channels are where they are not given
};

void check_attention(const AttentionKeys& keys, int64_t heads, std::optional<int64_t> qk, std::optional<int64_t> v,
                     int64_t qk_default) {
  const auto name = [&](const char* of) { return keys.where + "num_" + keys.kind + "_attention_" + of; };
  const int64_t qk_channels = qk.value_or(qk_default);
  require_heads(name("heads"), heads, "num_qk_channels", name("qk_channels"), qk_channels,
                qk ? "" : " (not set, so " + keys.qk_default + ")");
  require_heads(name("heads"), heads, "num_v_channels", name("v_channels"), v.value_or(qk_channels),
                v ? "" : " (not set, so as many as of queries and keys)");
}

void check_component(const ComponentConfig& component, const std::string& key) {
  nn::require_at_least(key + "cross_attention_widening_factor", component.cross_attention_widening_factor, 1);
  nn::require_dropout(key + "dropout", component.dropout);
}

// Where queries and keys of the encoder's cross-attention get their width from, if it is not given.
struct DefaultWidth {
  int64_t channels;
  std::string text;
};
template <class Decoder>
DefaultWidth cross_width(const PerceiverConfig<ImageEncoderConfig, Decoder>& config) {
  const auto& encoder = config.encoder;
  return {nn::width(input_options(encoder)),
          c10::str("the channels of the input: ", encoder.image_shape.back(), " of the image + ",
                   encoder.image_shape.size() - 1, "·(2·", encoder.num_frequency_bands, "+1) of its positions")};
}
template <class Decoder>
DefaultWidth cross_width(const PerceiverConfig<TextEncoderConfig, Decoder>& config) {
  return {config.num_latent_channels, "num_latent_channels"};
}

void check_input(const ImageEncoderConfig& encoder) {
  if (encoder.image_shape.size() < 2) {
    throw core::ConfigError(
        "encoder.image_shape must hold at least one size and the number of channels, channels last");
  }
  for (const int64_t size : encoder.image_shape) nn::require_at_least("encoder.image_shape", size, 1);
  nn::require_at_least("encoder.num_frequency_bands", encoder.num_frequency_bands, 1);
  nn::check(input_options(encoder));  // refuses sizes whose sums would overflow
}

void check_input(const TextEncoderConfig& encoder) {
  nn::require_at_least("encoder.vocab_size", encoder.vocab_size, 1);
  nn::require_at_least("encoder.max_seq_len", encoder.max_seq_len, 1);
  nn::require_at_least("encoder.num_input_channels", encoder.num_input_channels, 1);
}

// Gives the channels of an output query.
int64_t check_output(const EncoderConfig&, const ClassificationDecoderConfig& decoder) {
  nn::require_at_least("decoder.num_output_queries", decoder.num_output_queries, 1);
  nn::require_at_least("decoder.num_output_query_channels", decoder.num_output_query_channels, 1);
  nn::require_at_least("decoder.num_classes", decoder.num_classes, 1);
  return decoder.num_output_query_channels;
}

int64_t check_output(const TextEncoderConfig& encoder, const TextDecoderConfig& decoder) {
  nn::require_at_least("decoder.vocab_size", decoder.vocab_size, 1);
  nn::require_at_least("decoder.max_seq_len", decoder.max_seq_len, 1);
  if (decoder.num_output_query_channels) {
    nn::require_at_least("decoder.num_output_query_channels", *decoder.num_output_query_channels, 1);
    return *decoder.num_output_query_channels;
  }
  if (decoder.vocab_size != encoder.vocab_size) {
    throw core::ConfigError(
        c10::str("decoder.vocab_size and encoder.vocab_size must be equal where "
                 "decoder.num_output_query_channels is not set, since the embeddings of tokens "
                 "then also give the logits; got ",
                 decoder.vocab_size, " and ", encoder.vocab_size));
  }
  return encoder.num_input_channels;
}

// Of one cross-attention layer of the configuration.
nn::LayerOptions layer(const ComponentConfig& component, bool activation_checkpointing) {
  nn::LayerOptions layer;
  layer.attention.heads = component.num_cross_attention_heads;
  layer.attention.qk_channels = component.num_cross_attention_qk_channels;
  layer.attention.v_channels = component.num_cross_attention_v_channels;
  layer.attention.qkv_bias = false;
  layer.attention.empty_rows = nn::EmptyRows::uniform;
  layer.attention.dropout = component.dropout;
  layer.mlp.widening_factor = component.cross_attention_widening_factor;
  layer.residual_dropout = component.dropout;
  layer.activation_checkpointing = activation_checkpointing;
  return layer;
}

template <class Config>
void check_any(const Config& config) {
  const auto& encoder = config.encoder;
  const auto& decoder = config.decoder;
  nn::require_at_least("num_latents", config.num_latents, 1);
  nn::require_at_least("num_latent_channels", config.num_latent_channels, 1);
  check_input(encoder);
  if (encoder.num_cross_attention_layers <= 0) {
    throw core::ConfigError(c10::str("num_cross_attention_layers must be > 0; got encoder.num_cross_attention_layers=",
                                     encoder.num_cross_attention_layers));
  }
  if (encoder.num_self_attention_blocks <= 0) {
    throw core::ConfigError(c10::str("num_self_attention_blocks must be > 0; got encoder.num_self_attention_blocks=",
                                     encoder.num_self_attention_blocks));
  }
  if (encoder.num_cross_attention_layers > encoder.num_self_attention_blocks) {
    throw core::ConfigError(
        c10::str("num_cross_attention_layers must be <= num_self_attention_blocks, since each "
                 "cross-attention precedes a block; got ",
                 encoder.num_cross_attention_layers, " and ", encoder.num_self_attention_blocks));
  }
  nn::require_at_least("encoder.num_self_attention_layers_per_block", encoder.num_self_attention_layers_per_block, 1);
  nn::require_at_least("encoder.self_attention_widening_factor", encoder.self_attention_widening_factor, 1);
  check_component(encoder, "encoder.");
  check_component(decoder, "decoder.");
  const int64_t query_channels = check_output(encoder, decoder);

  const auto cross = cross_width(config);
  check_attention({"encoder.", "cross", cross.text}, encoder.num_cross_attention_heads,
                  encoder.num_cross_attention_qk_channels, encoder.num_cross_attention_v_channels, cross.channels);
  check_attention({"encoder.", "self", "num_latent_channels"}, encoder.num_self_attention_heads,
                  encoder.num_self_attention_qk_channels, encoder.num_self_attention_v_channels,
                  config.num_latent_channels);
  check_attention({"decoder.", "cross", "decoder.num_output_query_channels"}, decoder.num_cross_attention_heads,
                  decoder.num_cross_attention_qk_channels, decoder.num_cross_attention_v_channels, query_channels);
  models::check(native_options(config));
}

template <class Config>
PerceiverIOOptions native_any(const Config& config) {
  const auto& from = config.encoder;
  PerceiverIOOptions options;
  options.input = input_options(from);

  auto& encoder = options.encoder;
  encoder.num_latents = config.num_latents;
  encoder.num_latent_channels = config.num_latent_channels;
  encoder.cross = layer(from, config.activation_checkpointing);
  encoder.cross.attention.qk_channels = from.num_cross_attention_qk_channels.value_or(cross_width(config).channels);
  encoder.num_cross_layers = from.num_cross_attention_layers;
  encoder.first_cross_layer_shared = from.first_cross_attention_layer_shared;
  encoder.self = layer(from, config.activation_checkpointing);
  encoder.self.attention.heads = from.num_self_attention_heads;
  encoder.self.attention.qk_channels = from.num_self_attention_qk_channels;
  encoder.self.attention.v_channels = from.num_self_attention_v_channels;
  encoder.self.mlp.widening_factor = from.self_attention_widening_factor;
  encoder.num_self_layers_per_block = from.num_self_attention_layers_per_block;
  encoder.num_self_blocks = from.num_self_attention_blocks;
  encoder.first_self_block_shared = from.first_self_attention_block_shared;

  options.output = output_options(config.decoder);
  options.decoder.cross = layer(config.decoder, config.activation_checkpointing);
  return options;
}

}  // namespace

void check(const ImageClassifierConfig& config) {
  check_any(config);
}
void check(const TextClassifierConfig& config) {
  check_any(config);
}
void check(const MaskedLMConfig& config) {
  check_any(config);
}
PerceiverIOOptions native_options(const ImageClassifierConfig& config) {
  return native_any(config);
}
PerceiverIOOptions native_options(const TextClassifierConfig& config) {
  return native_any(config);
}
PerceiverIOOptions native_options(const MaskedLMConfig& config) {
  return native_any(config);
}

}  // namespace perceive::models::perceiver_io
