// A Perceiver's block: latents read an input once, then each other some times.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <functional>
#include <memory>
#include <vector>

#include "perceive/nn/layer.h"

namespace perceive::nn {

// Registers cross, where there is one, and self.0, self.1, …
class BlockImpl : public torch::nn::Module {
 public:
  // Layers of any kind; `cross` may be null.
  BlockImpl(std::shared_ptr<CrossLayer> cross, std::vector<std::shared_ptr<SelfLayer>> selves);
  // x [B | 1, N, C] to [B, N, C]. A block without cross-attention reads no context. Appends the attention weights of
  // its layers to `weights`, where given.
  at::Tensor forward(at::Tensor x, const Context* context, std::vector<at::Tensor>* weights = nullptr);

 private:
  std::shared_ptr<CrossLayer> cross_;
  std::vector<std::shared_ptr<SelfLayer>> selves_;
};
TORCH_MODULE(Block);

// Makes the layers of block `block`: ours, or a user's own in their place.
struct LayerMakers {
  std::function<std::shared_ptr<CrossLayer>(int64_t block)> cross;
  std::function<std::shared_ptr<SelfLayer>(int64_t block, int64_t layer)> self;
};

}  // namespace perceive::nn
