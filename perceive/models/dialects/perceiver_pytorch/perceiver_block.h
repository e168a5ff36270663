// PerceiverBlock of perceiver-pytorch 0.11.0: the layers of a Perceiver for models of one's own.
//
// Shapes: B batch, S tokens of the context, N latents.
#pragma once

#include <torch/nn/pimpl.h>

#include "perceive/models/dialects/perceiver_pytorch/config.h"
#include "perceive/models/dialects/renamed.h"

namespace perceive::models::perceiver_pytorch {

struct BlockInputs {
  at::Tensor context;  // [B, S, context_dim]; needed where the block has cross-attention, which alone uses these
  at::Tensor mask;     // bool [B, S]
  bool inverted_attention = false;
};

class PerceiverBlockImpl : public Renamed {
 public:
  explicit PerceiverBlockImpl(const BlockConfig& config);
  // x [B, N, dim] to the same.
  at::Tensor forward(const at::Tensor& x, const BlockInputs& inputs = {});

 private:
  PerceiverBlockImpl(const BlockConfig& config, nn::Block block);

  BlockConfig config_;
  nn::Block block_;
};
TORCH_MODULE(PerceiverBlock);

}  // namespace perceive::models::perceiver_pytorch
