// ImageAdapter of flash-perceiver 0.2.0.
#include "perceive/models/dialects/flash_perceiver/image_adapter.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include "perceive/core/error.h"
#include "perceive/nn/checks.h"

namespace perceive::models::flash_perceiver {

ImageAdapterImpl::ImageAdapterImpl(const ImageAdapterConfig& config) : config_(config) {
  nn::require_at_least("embed_dim", config.embed_dim, 1);
  nn::require_at_least("num_channels", config.num_channels, 1);
  if (config.patch_size) {
    const auto& size = *config.patch_size;
    if (size.is_list && size.many.size() != 2) {
      throw core::ConfigError("patch_size: expected [height, width] or one number for both");
    }
    for (int i = 0; i < 2; ++i) {
      patch_[i] = size.is_list ? size.many[static_cast<size_t>(i)] : size.one;
      nn::require_at_least("patch_size", patch_[i], 1);
    }
  }
  int64_t width = config.num_channels * patch_[0] * patch_[1];
  if (config.pos_encoding) {
    encoding_ = std::visit([](const auto& each) { return make_encoding(each); }, *config.pos_encoding);
    register_module("pos_encoding", encoding_);
    width += encoding_->out_dim();
  }
  auto proj = std::make_shared<torch::nn::Module>();
  const auto norm = [](int64_t size) { return torch::nn::LayerNorm(torch::nn::LayerNormOptions({size})); };
  before_ = proj->register_module("0", norm(width));
  linear_ = proj->register_module("1", nn::Linear(width, config.embed_dim));
  after_ = proj->register_module("2", norm(config.embed_dim));
  register_module("proj", proj);
}

at::Tensor ImageAdapterImpl::forward(at::Tensor x) {
  TORCH_CHECK_VALUE(x.dim() == 4, "Expected input to have four dimensions but found ", x.dim(), " dimensions instead");
  if (config_.channel_first) x = x.permute({0, 2, 3, 1});
  TORCH_CHECK_VALUE(x.size(3) == config_.num_channels, "Expected input to have ", config_.num_channels,
                    " channels but found ", x.size(3), " channels instead");
  const int64_t batch = x.size(0), rows = x.size(1) / patch_[0], columns = x.size(2) / patch_[1];
  TORCH_CHECK_VALUE(rows * patch_[0] == x.size(1) && columns * patch_[1] == x.size(2), "patches of ", patch_[0], " x ",
                    patch_[1], " do not divide a picture of ", x.size(1), " x ", x.size(2));
  x = x.reshape({batch, rows, patch_[0], columns, patch_[1], x.size(3)}).permute({0, 1, 3, 2, 4, 5});
  x = x.reshape({batch, rows * columns, -1});
  if (encoding_) {
    const auto places = encoding_->forward(meshgrid({rows, columns}, x.options().requires_grad(false)));
    x = at::cat({x, places.reshape({1, rows * columns, -1}).expand({batch, -1, -1})}, 2);
  }
  return after_->forward(linear_->forward(before_->forward(x)));
}

}  // namespace perceive::models::flash_perceiver
