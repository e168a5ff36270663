// Linformer of linformer-pytorch 0.19.3: attention to keys and values that are projected along the length.
//
// Shapes: B batch, n the input_size, C channels.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <vector>

#include "perceive/models/dialects/linformer_pytorch/attention.h"
#include "perceive/models/dialects/linformer_pytorch/parts.h"

namespace perceive::models::linformer_pytorch {

// Layers of attention (a decoder: two) and feed-forward parts, each with a residual and a norm behind it. Parameters
// under the original's names, shared ones under every name; the same seed gives the same weights.
class LinformerImpl : public torch::nn::Module {
 public:
  explicit LinformerImpl(const LinformerConfig& config);
  // x [B, n, C] to the same sizes. Masks and embeddings can be given at checkpoint level C0 only, as in the original.
  at::Tensor forward(at::Tensor x, const Extras& extras = {});
  int64_t input_size() const { return *config_.input_size; }

 private:
  struct Part {
    MHAttention attention{nullptr};
    FeedForward feed_forward{nullptr};
    Residual residual{nullptr};
    at::Tensor forward(const at::Tensor& x, const Extras& extras, bool again);
  };
  struct Widths {
    int64_t input, output;
  };
  Widths widths(int64_t layer) const;
  void add_attention(int64_t layer, const EF& shared, bool cross);
  void add_feed_forward(int64_t layer);

  LinformerConfig config_;
  std::vector<Part> parts_;
};
TORCH_MODULE(Linformer);

}  // namespace perceive::models::linformer_pytorch
