// ImageAdapter of flash-perceiver 0.2.0: a picture as a row of tokens.
#pragma once

#include <torch/nn/modules/normalization.h>
#include <torch/nn/pimpl.h>

#include "perceive/models/dialects/flash_perceiver/encodings.h"
#include "perceive/nn/linear.h"

namespace perceive::models::flash_perceiver {

struct ImageAdapterConfig {
  int64_t embed_dim = 0, num_channels = 3;
  std::optional<EncodingConfig> pos_encoding;
  std::optional<core::OneOrMany<int64_t>> patch_size;
  bool channel_first = true;
};
template <class Visitor>
void visit(ImageAdapterConfig& o, Visitor&& field) {
  field("embed_dim", o.embed_dim, "channels of a token (required)");
  field("num_channels", o.num_channels, "channels of a pixel");
  field("pos_encoding", o.pos_encoding, "of the pixel's (patch's) place in the picture; null: none");
  field("patch_size", o.patch_size, "height and width of a patch; null: a token for each pixel");
  field("channel_first", o.channel_first, "pictures are [B, C, H, W], else [B, H, W, C]");
}

// Registers pos_encoding and proj (LayerNorm, Linear, LayerNorm). The grid of positions is made anew for each size,
// where the original may keep a wrong part of an older one.
class ImageAdapterImpl : public torch::nn::Module {
 public:
  explicit ImageAdapterImpl(const ImageAdapterConfig& config);
  // [B, C, H, W] (or channels last) to [B, patches, embed_dim], row by row.
  at::Tensor forward(at::Tensor x);

 private:
  ImageAdapterConfig config_;
  int64_t patch_[2] = {1, 1};
  std::shared_ptr<Encoding> encoding_;
  torch::nn::LayerNorm before_{nullptr}, after_{nullptr};
  nn::Linear linear_{nullptr};
};
TORCH_MODULE(ImageAdapter);

}  // namespace perceive::models::flash_perceiver
