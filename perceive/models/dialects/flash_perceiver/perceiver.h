// Perceiver and PerceiverIO of flash-perceiver 0.2.0: their arguments, weights and numbers on the native model.
//
// Shapes: B batch, M tokens of an input, N latents of E channels, O queries of Q channels.
#pragma once

#include <torch/nn/pimpl.h>

#include <string>
#include <vector>

#include "perceive/io/tensors.h"
#include "perceive/models/dialects/flash_perceiver/config.h"
#include "perceive/models/dialects/renamed.h"

namespace perceive::models::flash_perceiver {

// One tensor [B, M, C] for all blocks (which then all read it behind the first block's zero tokens, as in the
// original), or a list of one for each; masks [B, M], bool, true where a token counts, undefined where all do.
struct Data {
  std::vector<at::Tensor> tensors, masks;
  bool is_list = false;

  Data(at::Tensor tensor, at::Tensor mask = {}) : tensors{std::move(tensor)}, masks{std::move(mask)} {}
  Data(std::vector<at::Tensor> list, std::vector<at::Tensor> list_masks = {})
      : tensors(std::move(list)), masks(std::move(list_masks)), is_list(true) {}
};

struct ForwardOptions {
  at::Tensor latents;                                      // [N, E] or [B, N, E], in place of the learned ones
  bool return_embeddings = false;                          // Perceiver: the latents, whatever the head
  std::vector<at::Tensor>* return_attn_weights = nullptr;  // of each attention of the encoder, in order
};

// What both share: parameters under the names of the original's state_dict, shared ones under every name. The same seed
// gives the same weights as the original does.
class ModelImpl : public Renamed {
 public:
  const models::Perceiver& native() const { return model_; }
  // Takes a state_dict also of versions before 0.1.10, which number the head's layers differently. See io::load_into.
  std::vector<std::string> load_state_dict(io::Tensors tensors, const std::string& origin);

  // What use_flash_attn says, at run time; here for the queries' block too, which the original leaves out.
  void set_flash_attn(bool on);

  int64_t num_attention_layers_per_block() const;
  int64_t num_attention_layers() const;
  int64_t num_self_attention_layers() const;
  int64_t num_cross_attention_layers() const;

 protected:
  ModelImpl(const BaseConfig& config, models::Perceiver model);
  at::Tensor encode(const Data& data, const ForwardOptions& options);

  models::Perceiver model_;
  bool use_flash_attn_;
};

class PerceiverImpl : public ModelImpl {
 public:
  // `gated_hidden`: width of gated MLPs; 0: 4 latent_dim rounded up to a multiple of 256.
  explicit PerceiverImpl(const PerceiverConfig& config, int64_t gated_hidden = 0);
  // [B, output_dim], or the latents [B, N, E].
  at::Tensor forward(const Data& data, const ForwardOptions& options = {});
};
TORCH_MODULE(Perceiver);

class PerceiverIOImpl : public ModelImpl {
 public:
  explicit PerceiverIOImpl(const PerceiverIOConfig& config, int64_t gated_hidden = 0);
  // queries [O, Q] or [B, O, Q]: [B, O, proj_dim or Q]; undefined: the latents [B, N, E].
  at::Tensor forward(const Data& data, const at::Tensor& queries = {}, const ForwardOptions& options = {});
};
TORCH_MODULE(PerceiverIO);

// The width of gated MLPs in a state_dict, 0 where it has none.
int64_t gated_hidden_of(const io::Tensors& state_dict);

// A mask [B, M] for data [B, M, ·]: of each sample the first 1 … M tokens, as many as the default generator says.
at::Tensor random_mask(const at::Tensor& data);

}  // namespace perceive::models::flash_perceiver
