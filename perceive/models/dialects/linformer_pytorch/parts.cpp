// Feed-forward parts.
#include "perceive/models/dialects/linformer_pytorch/parts.h"

#include <ATen/ATen.h>

namespace perceive::models::linformer_pytorch {

FeedForwardImpl::FeedForwardImpl(const FeedForwardOptions& options) : options_(options) {
  w_1_ = register_module("w_1", torch::nn::Linear(options.input_channels, options.hidden_channels));
  w_2_ = register_module("w_2", torch::nn::Linear(options.hidden_channels, options.output_channels));
}

at::Tensor FeedForwardImpl::forward(const at::Tensor& x) {
  const auto hidden = w_1_->forward(x);
  const auto active = options_.activation == Activation::gelu ? at::gelu(hidden) : at::relu(hidden);
  const auto output = w_2_->forward(at::dropout(active, options_.dropout, is_training()));
  return at::dropout(output, options_.output_dropout, is_training());
}

void require_input(const at::Tensor& x, int64_t input_size, int64_t channels) {
  TORCH_CHECK_VALUE(x.dim() == 3, "expected x [B, ", input_size, ", ", channels, "]; got ", x.sizes());
  TORCH_CHECK_VALUE(x.size(1) == input_size, "This tensor is of the wrong size. Dimension 1 has to match the ",
                    "`input_size` flag: expected ", input_size, ", got ", x.size(1));
  TORCH_CHECK_VALUE(x.size(2) == channels, "This tensor is of the wrong size. Dimension 2 has to match the ",
                    "`channels` flag: expected ", channels, ", got ", x.size(2));
}

}  // namespace perceive::models::linformer_pytorch
