// Perceiver of perceiver-pytorch: its arguments, weights and numbers on the native model. The same seed gives the same
// weights as the original does.
//
// Shapes: B batch, S tokens of the data, N latents of D channels.
#pragma once

#include <torch/nn/pimpl.h>

#include <optional>
#include <string>
#include <vector>

#include "perceive/io/tensors.h"
#include "perceive/models/dialects/perceiver_pytorch/config.h"
#include "perceive/models/dialects/renamed.h"

namespace perceive::models::perceiver_pytorch {

struct ForwardOptions {
  at::Tensor mask;                 // bool, true where an element counts: [B, …], of S elements a sample
  bool return_embeddings = false;  // Perceiver: the latents, whatever the head
  // The history [B, N, D] each, that the attention residual mixes, in place of what the layers start from. May be
  // empty.
  std::optional<std::vector<at::Tensor>> block_outputs;
  std::vector<at::Tensor>* return_hiddens = nullptr;  // gets that history and what every layer gave
};

// What it shares with PerceiverIO: parameters under the names of the version's state_dict, shared ones under every
// name.
class ModelImpl : public Renamed {
 public:
  const models::Perceiver& native() const { return model_; }
  // Takes the state_dict of any version. Throws core::FileError; see io::load_into.
  std::vector<std::string> load_state_dict(io::Tensors tensors, const std::string& origin);
  // The same tensors under this model's names.
  io::Tensors to_own_names(io::Tensors tensors, const std::string& origin) const;

 protected:
  ModelImpl(const PerceiverOptions& options, Version version);
  at::Tensor encode(std::vector<nn::Context> contexts, const ForwardOptions& options);

  models::Perceiver model_;

 private:
  ModelImpl(models::Perceiver model, Version version);

  Version version_;
};

class PerceiverImpl : public ModelImpl {
 public:
  explicit PerceiverImpl(const PerceiverConfig& config, Version version = Version::v0_11_0);
  // data [B, sizes of the axes…, channels] to [B, num_classes], or to the latents [B, N, D].
  at::Tensor forward(const at::Tensor& data, const ForwardOptions& options = {});

 private:
  PerceiverConfig config_;
  InputOptions input_;
};
TORCH_MODULE(Perceiver);

}  // namespace perceive::models::perceiver_pytorch
