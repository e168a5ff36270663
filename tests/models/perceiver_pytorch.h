// Models of perceiver-pytorch as its specification has them: small, in double, with weights by rule.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "perceive/io/names.h"
#include "perceive/models/dialects/perceiver_pytorch/experimental.h"
#include "perceive/models/dialects/perceiver_pytorch/perceiver_block.h"
#include "perceive/models/dialects/perceiver_pytorch/perceiver_io.h"
#include "perceive/models/dialects/perceiver_pytorch/variants.h"
#include "tests/models/golden.h"

namespace perceive::models::perceiver_pytorch {

// "L" of the specification.
template <class Config>
Config small() {
  Config config;
  config.num_freq_bands = 3;
  config.max_freq = 5;
  config.depth = 2;
  config.num_latents = 4;
  config.latent_dim = 16;
  config.cross_heads = 2;
  config.cross_dim_head = 4;
  config.latent_heads = 2;
  config.latent_dim_head = 8;
  config.num_classes = 5;
  return config;
}

inline PerceiverConfig small_with_two_self() {
  auto config = small<PerceiverConfig>();
  config.self_per_cross_attn = 2;
  return config;
}

template <class Config>
Config small_io_base() {
  Config config;
  config.depth = 2;
  config.dim = 6;
  config.num_latents = 4;
  config.latent_dim = 16;
  config.cross_heads = 2;
  config.cross_dim_head = 4;
  config.latent_heads = 2;
  config.latent_dim_head = 8;
  return config;
}

// "L-IO".
inline PerceiverIOConfig small_io() {
  auto config = small_io_base<PerceiverIOConfig>();
  config.queries_dim = 10;
  return config;
}

// "LM".
inline PerceiverLMConfig small_lm() {
  auto config = small_io_base<PerceiverLMConfig>();
  config.depth = 1;
  config.num_tokens = 11;
  config.max_seq_len = 8;
  return config;
}

// Of N6 and what follows.
inline BlockConfig small_block() {
  BlockConfig config;
  config.dim = 16;
  config.cross_heads = 2;
  config.cross_dim_head = 4;
  config.latent_heads = 2;
  config.latent_dim_head = 8;
  config.queries_contribute_kv = true;
  return config;
}

inline at::Tensor bools(std::vector<int64_t> values, at::IntArrayRef sizes) {
  return at::tensor(values).to(at::kBool).view(sizes);
}
inline at::Tensor image() {
  return golden_input(1, {2, 2, 3, 3});
}
inline at::Tensor image_mask() {
  return bools({1, 1, 1, 0, 0, 0, 1, 1, 1, 1, 1, 1}, {2, 6});
}
inline at::Tensor first_masked() {
  return bools({0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1}, {2, 6});
}
inline at::Tensor sequence() {
  return golden_input(1, {2, 5, 6});
}
inline at::Tensor prefix() {
  return bools({1, 1, 1, 0, 0, 1, 1, 1, 1, 1}, {2, 5});
}
inline at::Tensor queries() {
  return golden_input(3, {3, 10});
}
inline at::Tensor words() {
  return at::tensor(std::vector<int64_t>{1, 2, 3, 4, 5, 0}).view({2, 3});
}
// H6 and H7.
inline at::Tensor hidden(uint64_t seed) {
  return golden_input(seed, {2, 4, 16});
}

// With weights by its own names.
template <class Model, class Config>
Model filled(const Config& config) {
  Model model(config);
  fill(*model);
  return model;
}

// Of version 0.11.0, with weights by the names of 0.9.0: their values, and a state_dict of that version to load.
template <class Model, class Config>
Model filled_as_0_9_0(const Config& config) {
  Model old(config, Version::v0_9_0), model(config);
  fill(*old);
  model->to(at::kDouble);
  model->eval();
  model->load_state_dict(io::named_tensors(*old), "a state_dict of 0.9.0");
  return model;
}

}  // namespace perceive::models::perceiver_pytorch
