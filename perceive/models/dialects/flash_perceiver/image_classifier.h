// The picture classifier of flash-perceiver 0.2.0's CIFAR-10 example: an ImageAdapter before a Perceiver.
#pragma once

#include <string_view>

#include "perceive/models/dialects/flash_perceiver/image_adapter.h"
#include "perceive/models/dialects/flash_perceiver/perceiver.h"

namespace perceive::models::flash_perceiver {

// With the example's numbers, which leave 0.2.0's defaults standing where it does.
struct ImageClassifierConfig : PerceiverConfig {
  ImageAdapterConfig adapter;

  ImageClassifierConfig() {
    adapter.embed_dim = 64;
    adapter.pos_encoding = NeRFConfig{.in_dim = 2};
    depth = 1;
    num_latents = 128;
    latent_dim = 256;
    cross_attn_dropout = latent_attn_dropout = 0.2;
    self_per_cross_attn = 4;
  }
};
template <class Visitor>
void visit(ImageClassifierConfig& o, Visitor&& field) {
  field("adapter", o.adapter, "how a picture becomes a row of tokens");
  visit(static_cast<PerceiverConfig&>(o), [&](const char* name, auto& option, const char* help) {
    const std::string_view which = name;
    field(name, option,
          which == "input_dim"    ? "channels of a token; follows from adapter.embed_dim"
          : which == "output_dim" ? "classes"
                                  : help);
  });
}
// With the input_dim that follows from the adapter. Throws core::ConfigError where another one was given.
ImageClassifierConfig with_input_dim(ImageClassifierConfig config);

// Parameters of the Perceiver under the names of the original's state_dict (latents, layers.0.0.…, out_proj.1.weight),
// those of the adapter below `adapter.` (adapter.proj.1.weight): without that prefix each part's names are the
// original's.
class ImageClassifierImpl : public PerceiverImpl {
 public:
  // Throws core::ConfigError, also where there is no output_dim. `gated_hidden`: as in PerceiverImpl.
  explicit ImageClassifierImpl(const ImageClassifierConfig& config, int64_t gated_hidden = 0);
  // Pictures [B, C, H, W] (or channels last) to logits [B, output_dim].
  at::Tensor forward(const at::Tensor& images);

 private:
  ImageAdapter adapter_;
};
TORCH_MODULE(ImageClassifier);

}  // namespace perceive::models::flash_perceiver
