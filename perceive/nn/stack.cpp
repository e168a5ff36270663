// Blocks one after the other.
#include "perceive/nn/stack.h"

#include <c10/util/Exception.h>

#include <algorithm>

#include "perceive/nn/checks.h"

namespace perceive::nn {

StackImpl::StackImpl(const StackOptions& options, const std::function<Block(int64_t)>& make_block, int64_t channels) {
  require_at_least("depth", options.depth, 1);
  const auto own = [&](int64_t i) {
    return i == 0 || options.tying == WeightTying::none || (i == 1 && options.tying == WeightTying::after_first);
  };
  auto mix = std::make_shared<torch::nn::Module>();
  for (int64_t i = 0; i < options.depth; ++i) {
    blocks_.push_back(register_module(std::to_string(i), own(i) ? make_block(i) : blocks_.back()));
    if (!options.depth_attention) continue;
    auto mixer = own(i) ? DepthAttention(*options.depth_attention, channels) : mix_.back();
    mix_.push_back(mix->register_module(std::to_string(i), mixer));
  }
  if (!mix_.empty()) register_module("mix", mix);
}

at::Tensor StackImpl::forward(at::Tensor x, const std::vector<Context>& contexts, const Trace& trace) {
  TORCH_CHECK(contexts.size() <= 1 || contexts.size() == blocks_.size(), "Stack: ", contexts.size(), " contexts for ",
              blocks_.size(), " blocks");
  std::vector<at::Tensor> hiddens;
  const bool keep = !mix_.empty() || trace.hiddens;
  if (keep && trace.history) hiddens = *trace.history;
  if (keep && !trace.history) hiddens.push_back(x);
  for (size_t i = 0; i < blocks_.size(); ++i) {
    const Context* context = contexts.empty() ? nullptr : &contexts[std::min(i, contexts.size() - 1)];
    x = blocks_[i]->forward(x, context, trace.weights);
    if (!keep) continue;
    // The latents are one array for the whole batch until the first reading tells its samples apart.
    if (i == 0 && !trace.history) hiddens.front() = hiddens.front().expand_as(x);
    hiddens.push_back(x);
    if (!mix_.empty()) x = mix_[i]->forward(hiddens);
  }
  if (trace.hiddens) *trace.hiddens = std::move(hiddens);
  return x;
}

}  // namespace perceive::nn
