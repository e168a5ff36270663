// Attention over the depth.
#include "perceive/nn/depth_attention.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include "perceive/nn/checks.h"

namespace perceive::nn {

DepthAttentionImpl::DepthAttentionImpl(const DepthAttentionOptions& options, int64_t channels) {
  require_at_least("rank", options.rank, 1);
  require_at_least("channels", channels, 1);
  const auto linear = [](int64_t in, int64_t out) { return Linear(torch::nn::LinearOptions(in, out).bias(false)); };
  if (options.normalize) norm_weight_ = register_parameter("norm_weight", at::ones({channels}));
  reduce_ = register_module("reduce", linear(channels, options.rank));
  expand_ = register_module("expand", linear(options.rank, channels));
}

at::Tensor DepthAttentionImpl::forward(const std::vector<at::Tensor>& history) {
  TORCH_CHECK_VALUE(!history.empty(), "DepthAttention: there is nothing to mix");
  for (const auto& h : history) {
    TORCH_CHECK_VALUE(h.sizes() == history.front().sizes(), "DepthAttention: expected tensors of one shape, got ",
                      history.front().sizes(), " and ", h.sizes());
  }
  const auto h = at::stack(history);
  // eps: that of the dtype, torch's default.
  const auto normal = norm_weight_.defined() ? at::rms_norm(h, {h.size(-1)}, norm_weight_) : h;
  return (expand_->forward(reduce_->forward(normal)).softmax(0) * h).sum(0);
}

}  // namespace perceive::nn
