// PerceiverIO and PerceiverLM of perceiver-pytorch on the native model.
//
// Shapes: B batch, S tokens of the data, N latents of D channels, O queries of Q channels.
#pragma once

#include <torch/nn/modules/embedding.h>

#include <string>
#include <vector>

#include "perceive/models/dialects/perceiver_pytorch/perceiver.h"

namespace perceive::models::perceiver_pytorch {

class PerceiverIOImpl : public ModelImpl {
 public:
  explicit PerceiverIOImpl(const PerceiverIOConfig& config, Version version = Version::v0_11_0);
  // data [B, S, dim]; queries [O, Q] or [B, O, Q]: [B, O, logits_dim or Q]; undefined: the latents [B, N, D].
  at::Tensor forward(at::Tensor data, const at::Tensor& queries = {}, const ForwardOptions& options = {});
  // Whether the data are read by inverted attention: also where a list says False, as in the original.
  bool inverts() const;

 private:
  PerceiverIOConfig config_;
};
TORCH_MODULE(PerceiverIO);

// Leaves out the share `probability` of each sample's elements, in random order: [B, S, …] to [B, kept, …]; of a mask
// too, where it is defined. The draws and counts of the original.
void drop_elements(at::Tensor& data, at::Tensor& mask, double probability);

// Registers token_emb, pos_emb and perceiver_io.
class PerceiverLMImpl : public torch::nn::Module {
 public:
  explicit PerceiverLMImpl(const PerceiverLMConfig& config, Version version = Version::v0_11_0);
  // Token ids [B, S], int64, to [B, S, num_tokens]. mask [B, S]. Every token reads the whole text.
  at::Tensor forward(const at::Tensor& tokens, const at::Tensor& mask = {});
  std::vector<std::string> load_state_dict(io::Tensors tensors, const std::string& origin);

 private:
  torch::nn::Embedding token_emb_{nullptr}, pos_emb_{nullptr};
  PerceiverIO perceiver_io_{nullptr};
};
TORCH_MODULE(PerceiverLM);

}  // namespace perceive::models::perceiver_pytorch
