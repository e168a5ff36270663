// gated.Perceiver and mixed_latents.Perceiver of perceiver-pytorch: layers of their own on the native model. The same
// seed gives the same weights as the originals do.
//
// Shapes: B batch, N latents of D channels.
#pragma once

#include <torch/nn/pimpl.h>

#include "perceive/models/dialects/perceiver_pytorch/config.h"
#include "perceive/models/dialects/renamed.h"

namespace perceive::models::perceiver_pytorch {

class VariantImpl : public Renamed {
 public:
  // data [B, sizes of the axes…, channels], mask as in flat_mask; [B, num_classes].
  at::Tensor forward(const at::Tensor& data, const at::Tensor& mask = {});
  const models::Perceiver& native() const { return model_; }

 protected:
  // Draws the weights of the model, then names them.
  VariantImpl(models::Perceiver model, const BaseConfig& config);

 private:
  models::Perceiver model_;
  InputOptions input_;
  int64_t cross_heads_;
};

// Where the others add what attention gives to the latents, here a GRU cell takes it in.
class GatedPerceiverImpl : public VariantImpl {
 public:
  explicit GatedPerceiverImpl(const GatedConfig& config);
};
TORCH_MODULE(GatedPerceiver);

// Instead of self-attention, two linear layers over the latents (Tolstikhin et al. 2021, arXiv 2105.01601).
class MixedLatentsPerceiverImpl : public VariantImpl {
 public:
  explicit MixedLatentsPerceiverImpl(const MixedLatentsConfig& config);
};
TORCH_MODULE(MixedLatentsPerceiver);

}  // namespace perceive::models::perceiver_pytorch
