// A Perceiver's block.
#include "perceive/nn/block.h"

#include <c10/util/Exception.h>

#include <string>

namespace perceive::nn {

BlockImpl::BlockImpl(std::shared_ptr<CrossLayer> cross, std::vector<std::shared_ptr<SelfLayer>> selves)
    : cross_(std::move(cross)), selves_(std::move(selves)) {
  if (cross_) register_module("cross", cross_);
  auto list = std::make_shared<torch::nn::Module>();
  for (size_t i = 0; i < selves_.size(); ++i) list->register_module(std::to_string(i), selves_[i]);
  if (!selves_.empty()) register_module("self", list);
}

at::Tensor BlockImpl::forward(at::Tensor x, const Context* context, std::vector<at::Tensor>* weights) {
  if (cross_) {
    TORCH_CHECK(context, "Block: this block reads a context; none was given");
    if (weights) weights->push_back(cross_->weights(x, *context));
    x = cross_->forward(x, *context);
  }
  for (auto& layer : selves_) {
    if (weights) weights->push_back(layer->weights(x));
    x = layer->forward(x);
  }
  return x;
}

}  // namespace perceive::nn
