// The picture classifier of flash-perceiver 0.2.0's CIFAR-10 example.
#include "perceive/models/dialects/flash_perceiver/image_classifier.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "perceive/core/error.h"

namespace perceive::models::flash_perceiver {
namespace {

ImageClassifierConfig checked(ImageClassifierConfig config) {
  if (!config.output_dim) {
    throw core::ConfigError(
        "output_dim: expected the number of classes, got null; without it there are no class scores");
  }
  return with_input_dim(std::move(config));
}

}  // namespace

ImageClassifierConfig with_input_dim(ImageClassifierConfig config) {
  const auto& given = config.input_dim;
  const int64_t width = config.adapter.embed_dim;
  if (given.is_list || (given.one != 0 && given.one != width)) {
    throw core::ConfigError(
        fmt::format("input_dim: this follows from adapter.embed_dim, which is {}; got {}. Leave it out", width,
                    given.is_list ? fmt::format("[{}]", fmt::join(given.many, ", ")) : fmt::format("{}", given.one)));
  }
  config.input_dim = width;
  return config;
}

ImageClassifierImpl::ImageClassifierImpl(const ImageClassifierConfig& config, int64_t gated_hidden)
    : PerceiverImpl(checked(config), gated_hidden),
      adapter_(register_module("adapter", ImageAdapter(config.adapter))) {}

at::Tensor ImageClassifierImpl::forward(const at::Tensor& images) {
  return PerceiverImpl::forward(adapter_->forward(images));
}

}  // namespace perceive::models::flash_perceiver
