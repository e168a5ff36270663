// PerceiverBlock of perceiver-pytorch.
#include "perceive/models/dialects/perceiver_pytorch/perceiver_block.h"

#include <c10/util/Exception.h>

#include "perceive/models/dialects/perceiver_pytorch/weights.h"

namespace perceive::models::perceiver_pytorch {
namespace {

nn::Block make_block(const BlockConfig& config) {
  const auto options = native_options(config);
  auto block = without_draws([&] {
    std::shared_ptr<nn::CrossLayer> cross;
    if (options.cross) cross = nn::CrossAttentionLayer(*options.cross, config.dim, options.context_channels).ptr();
    std::vector<std::shared_ptr<nn::SelfLayer>> selves;
    for (int64_t j = 0; j < config.self_per_cross_attn; ++j) {
      selves.push_back(nn::SelfAttentionLayer(options.self, config.dim).ptr());
    }
    return nn::Block(cross, selves);
  });
  draw(*block);
  return block;
}

}  // namespace

PerceiverBlockImpl::PerceiverBlockImpl(const BlockConfig& config) : PerceiverBlockImpl(config, make_block(config)) {}

PerceiverBlockImpl::PerceiverBlockImpl(const BlockConfig& config, nn::Block block)
    : Renamed(block.ptr(), names_of(*block)), config_(config), block_(std::move(block)) {}

at::Tensor PerceiverBlockImpl::forward(const at::Tensor& x, const BlockInputs& inputs) {
  TORCH_CHECK_VALUE(x.dim() == 3 && x.size(2) == config_.dim, "x: expected [B, N, ", config_.dim, "]; got ", x.sizes());
  if (!config_.has_cross_attn) return block_->forward(x, nullptr);
  const auto& context = inputs.context;
  const int64_t width = config_.context_dim.value_or(config_.dim);
  TORCH_CHECK_VALUE(context.defined(), "context: this block has cross-attention and needs one, [B, S, ", width, "]");
  TORCH_CHECK_VALUE(context.dim() == 3 && context.size(2) == width, "context: expected [B, S, ", width, "]; got ",
                    context.sizes());
  TORCH_CHECK_VALUE(!config_.queries_contribute_kv || !inputs.mask.defined() || inputs.mask.dim() == 2,
                    "mask: expected [B, S] where queries_contribute_kv is true; got ", inputs.mask.sizes());
  nn::Context read(
      ops::Source::of(context, {}, flat_mask(inputs.mask, context.size(0), context.size(1), config_.cross_heads)));
  read.inverted = inputs.inverted_attention;
  return block_->forward(x, &read);
}

}  // namespace perceive::models::perceiver_pytorch
