// The models of the golden values of linformer-pytorch 0.19.3.
#pragma once

#include "perceive/core/config.h"
#include "perceive/io/names.h"
#include "perceive/models/dialects/linformer_pytorch/config.h"
#include "tests/models/linformer_pytorch.h"

namespace perceive::models::linformer_pytorch {

inline LinformerConfig config_of(const nlohmann::json& changes) {
  LinformerConfig config;
  core::assign_json(
      config, {{"input_size", 13}, {"channels", 8}, {"dim_k", 4}, {"dim_ff", 16}, {"nhead", 2}, {"depth", 2}}, "base");
  if (!changes.is_null()) core::assign_json(config, changes, "changes");
  return config;
}

inline LinformerLMConfig lm_config_of(const nlohmann::json& changes) {
  LinformerLMConfig config;
  core::assign_json(config,
                    {{"num_tokens", 11},
                     {"input_size", 13},
                     {"channels", 8},
                     {"dim_k", 4},
                     {"dim_ff", 16},
                     {"nhead", 2},
                     {"depth", 1}},
                    "base");
  if (!changes.is_null()) core::assign_json(config, changes, "changes");
  return config;
}

inline LinformerEncDecConfig enc_dec_config() {
  LinformerEncDecConfig config;
  for (auto* side : {&config.enc, &config.dec}) {
    side->num_tokens = side == &config.enc ? 11 : 9;
    side->input_size = 13;
    side->channels = 8;
    side->dim_k = 4;
    side->dim_ff = 16;
    side->nhead = 2;
    side->depth = 1;
  }
  return config;
}

inline at::Tensor tokens() {
  return at::arange(26).mul(7).remainder(11).view({2, 13});
}

// bool [B, 13]: of each sample the first so many.
inline at::Tensor prefixes(std::vector<int64_t> lengths) {
  return at::arange(13).unsqueeze(0).lt(at::tensor(lengths).unsqueeze(1));
}

}  // namespace perceive::models::linformer_pytorch
