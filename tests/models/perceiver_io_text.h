// Small text models of perceiver-io 0.2.1: those of the expected values.
#pragma once

#include <ATen/ATen.h>

#include "perceive/models/dialects/perceiver_io/config.h"

namespace perceive::models::perceiver_io {

inline TextEncoderConfig small_encoder() {
  TextEncoderConfig encoder;
  encoder.vocab_size = 23;
  encoder.max_seq_len = 9;
  encoder.num_input_channels = 6;
  encoder.num_cross_attention_heads = 2;
  encoder.num_cross_attention_layers = 3;
  encoder.num_self_attention_heads = 4;
  encoder.num_self_attention_layers_per_block = 2;
  encoder.num_self_attention_blocks = 3;
  encoder.first_self_attention_block_shared = false;
  return encoder;
}

inline TextClassifierConfig small_classifier() {
  TextClassifierConfig config{small_encoder(), {}, 4, 8};
  config.decoder.num_classes = 2;
  config.decoder.num_output_query_channels = 6;
  config.decoder.num_cross_attention_heads = 1;
  return config;
}

inline MaskedLMConfig small_masked_lm(bool tied) {
  MaskedLMConfig config{small_encoder(), {}, 4, 8};
  if (!tied) config.decoder.num_output_query_channels = 10;
  config.decoder.vocab_size = 23;
  config.decoder.max_seq_len = 9;
  config.decoder.num_cross_attention_heads = 2;
  return config;
}

// Two texts of seven tokens, the last two of the second one padding.
inline at::Tensor text_ids() {
  const auto b = at::arange(2).unsqueeze(1), j = at::arange(7);
  auto ids = (b * 7 + j * 3 + 5).remainder(23);
  ids[1].narrow(0, 5, 2).zero_();
  return ids;
}
inline at::Tensor text_padding() {
  auto padding = at::zeros({2, 7}, at::kBool);
  padding[1].narrow(0, 5, 2).fill_(true);
  return padding;
}

}  // namespace perceive::models::perceiver_io
