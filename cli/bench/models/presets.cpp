// The configurations, as their authors published them where they did.
#include "cli/bench/models/presets.h"

#include <map>

namespace perceive::cli::bench {
namespace {

// flash-perceiver's benchmark: latents 256 x 256, one cross-attention of a head of 64 and one self-attention of 8 such
// heads in each of 8 layers, gated MLPs of 4 times the width.
const Recipe kNative{.model = R"({"class": "perceive.Perceiver", "args": {
                       "input_channels": 128, "num_latents": 256, "latent_channels": 256, "stack": {"depth": 8},
                       "cross": {"heads": 1, "qk_channels": 64, "qkv_bias": false, "packing": "key_value",
                                 "widening_factor": 4, "activation": "geglu"},
                       "self": {"heads": 8, "qk_channels": 512, "qkv_bias": false, "packing": "key_value",
                                "widening_factor": 4, "activation": "geglu"}}})",
                     .input = "data",
                     .length = 1024,
                     .batch = 1,
                     .item = {128},
                     .depth = "/stack/depth",
                     .latents = "/num_latents"};
const Recipe kPerceiverPytorch{.model = R"({"class": "perceiver_pytorch.Perceiver", "version": "0.11.0", "args": {
                                 "input_channels": 128, "input_axis": 1, "fourier_encode_data": false,
                                 "num_freq_bands": 6, "max_freq": 10.0, "depth": 8, "num_latents": 256,
                                 "latent_dim": 256, "final_classifier_head": false}})",
                               .input = "data",
                               .length = 1024,
                               .batch = 1,
                               .item = {128},
                               .depth = "/depth",
                               .latents = "/num_latents"};
const Recipe kFlashPerceiver{.model = R"({"class": "flash_perceiver.Perceiver", "version": "0.2.0", "args": {
                               "input_dim": 128, "depth": 8, "num_latents": 256, "latent_dim": 256,
                               "use_flash_attn": false}})",
                             .input = "data",
                             .length = 1024,
                             .batch = 1,
                             .item = {128},
                             .depth = "/depth",
                             .latents = "/num_latents"};
const Recipe kReadOnce{.model = R"({"class": "perceive.Perceiver", "args": {
                         "input_channels": 128, "num_latents": 256, "latent_channels": 256, "read_once": true,
                         "stack": {"depth": 1}, "self_per_cross": 8,
                         "cross": {"heads": 1, "qk_channels": 128}, "self": {"heads": 8}}})",
                       .input = "data",
                       .length = 1024,
                       .batch = 1,
                       .item = {128},
                       .depth = "/self_per_cross",
                       .latents = "/num_latents"};
const Recipe kMnist{.model = R"({"class": "perceiver_io.image_classifier", "version": "0.2.1", "args": {
                      "num_latents": 32, "num_latent_channels": 128,
                      "encoder": {"image_shape": [28, 28, 1], "num_frequency_bands": 32,
                                  "num_cross_attention_heads": 1, "num_self_attention_heads": 4,
                                  "num_self_attention_layers_per_block": 3, "num_self_attention_blocks": 3,
                                  "first_self_attention_block_shared": false},
                      "decoder": {"num_classes": 10, "num_output_query_channels": 128,
                                  "num_cross_attention_heads": 1}}})",
                    .input = "x",
                    .length = 28,
                    .batch = 64,
                    .item = {28, 1},
                    .depth = "/encoder/num_self_attention_blocks",
                    .latents = "/num_latents",
                    .any_length = false};
const Recipe kLinformer{.model = R"({"class": "linformer_pytorch.Linformer", "version": "0.19.3", "args": {
                          "channels": 128, "dim_k": 64, "dim_ff": 256, "nhead": 4, "depth": 4}})",
                        .input = "x",
                        .length = 4096,
                        .batch = 1,
                        .item = {128},
                        .lengths = {"/input_size"},
                        .depth = "/depth",
                        .latents = ""};
const Recipe kLinformerAttention{.model = R"({"class": "linformer_pytorch.MHAttention", "version": "0.19.3", "args": {
                                   "channels": 512, "dim": 64, "nhead": 8, "dim_k": 256,
                                   "E_proj": {"dim": 256, "bias": false}, "F_proj": {"dim": 256, "bias": false}}})",
                                 .input = "x",
                                 .length = 4096,
                                 .batch = 1,
                                 .item = {512},
                                 .lengths = {"/input_size", "/E_proj/input_size", "/F_proj/input_size"},
                                 .depth = "",
                                 .latents = ""};
const Recipe kFlashAttentionTwo{.model = R"({"class": "zeta.FlashAttentionTwo", "version": "0.8.3", "args": {
                                  "dim": 512, "heads": 8, "dim_head": 64}})",
                                .input = "x",
                                .length = 2048,
                                .batch = 1,
                                .item = {512},
                                .depth = "",
                                .latents = ""};

}  // namespace

const Recipe& recipe_of(Preset preset) {
  static const std::map<Preset, const Recipe*> recipes{{Preset::native, &kNative},
                                                       {Preset::perceiver_pytorch, &kPerceiverPytorch},
                                                       {Preset::flash_perceiver, &kFlashPerceiver},
                                                       {Preset::read_once, &kReadOnce},
                                                       {Preset::mnist, &kMnist},
                                                       {Preset::linformer, &kLinformer},
                                                       {Preset::linformer_attention, &kLinformerAttention},
                                                       {Preset::flash_attention_two, &kFlashAttentionTwo}};
  return *recipes.at(preset);
}

}  // namespace perceive::cli::bench
