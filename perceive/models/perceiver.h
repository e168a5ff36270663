// The Perceiver (Jaegle et al. 2021, arXiv 2103.03206): latents that read one or several inputs again and again, and
// are pooled or read by queries in the end.
//
// Shapes: B batch, N latents of C channels, M keys, O queries of F channels, E channels of the output.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/modules/normalization.h>
#include <torch/nn/pimpl.h>

#include <array>
#include <optional>
#include <utility>
#include <vector>

#include "perceive/core/options.h"
#include "perceive/nn/linear.h"
#include "perceive/nn/stack.h"

namespace perceive::models {

enum class Pooling { average, concat, first };
constexpr auto enum_names(Pooling) {
  return std::array{std::pair{Pooling::average, "average"}, std::pair{Pooling::concat, "concat"},
                    std::pair{Pooling::first, "first"}};
}

struct PoolOptions {
  Pooling mode = Pooling::average;
  int64_t channels = 1000;
};
template <class Visitor>
void visit(PoolOptions& o, Visitor&& field) {
  field("mode", o.mode, "the latents' mean, all of them side by side, or the first one");
  field("channels", o.channels, "of the output");
}

struct QueryOptions {
  int64_t query_channels = 128;
  nn::LayerOptions layer;
  bool mlp = true;
  bool normalize = true;
  std::optional<int64_t> channels;
};
template <class Visitor>
void visit(QueryOptions& o, Visitor&& field) {
  field("query_channels", o.query_channels, "channels of an output query");
  field("layer", o.layer, "the layer in which the queries read the latents");
  field("mlp", o.mlp, "whether that layer has its MLP; without, only what attention gives is left");
  field("normalize", o.normalize, "LayerNorm before the last linear layer");
  field("channels", o.channels, "of the output, by a last linear layer; null: those of the queries");
}

struct PerceiverOptions {
  core::OneOrMany<int64_t> input_channels = 3;
  std::optional<int64_t> num_latents = 512;
  int64_t latent_channels = 512;
  nn::StackOptions stack;
  bool read_once = false;
  nn::LayerOptions cross;
  nn::LayerOptions self{.attention = {.heads = 8}};
  int64_t self_per_cross = 1;
  int64_t num_zero_tokens = 0;
  double latent_drop = 0.0;
  std::optional<PoolOptions> pool;
  std::optional<QueryOptions> query;
};
template <class Visitor>
void visit(PerceiverOptions& o, Visitor&& field) {
  field("input_channels", o.input_channels, "width of a key of the input, or of each block's input");
  field("num_latents", o.num_latents, "latents that are learned; null: they are given to forward()");
  field("latent_channels", o.latent_channels, "channels of a latent");
  field("stack", o.stack, "the blocks");
  field("read_once", o.read_once, "the input is read once, before the blocks, which then have self-attention only");
  field("cross", o.cross, "the layers in which the latents read the input");
  field("self", o.self, "the layers in which the latents read each other");
  field("self_per_cross", o.self_per_cross, "self-attention layers of a block");
  field("num_zero_tokens", o.num_zero_tokens,
        "learned keys in front of each input, for latents that find nothing there");
  field("latent_drop", o.latent_drop, "share of the latents that a training step leaves out; the rest is shuffled");
  field("pool", o.pool, "makes one vector of the latents; null: do not");
  field("query", o.query, "lets queries read the latents; null: do not");
}
// Throws core::ConfigError.
void check(const PerceiverOptions& options);
// Readings of inputs: 1, or as many as blocks.
int64_t reading_count(const PerceiverOptions& options);

struct PerceiverInputs {
  std::vector<nn::Context> contexts;  // one for every reading (with the first one's zero tokens), or one each
  at::Tensor latents;                 // [N, C] or [B, N, C], in place of the learned ones
  nn::Trace trace;
};

// Registers latents, zero_tokens.0 …, encoder (a block; where read_once), blocks, and of the head: query, norm, linear.
class PerceiverImpl : public torch::nn::Module {
 public:
  // Layers that `makers` makes stand in the place of ours.
  explicit PerceiverImpl(const PerceiverOptions& options, const nn::LayerMakers& makers = {});

  // The latents [B, N, C] that have read the inputs.
  at::Tensor encode(const PerceiverInputs& inputs);
  // Latents to [B, E].
  at::Tensor pool(const at::Tensor& latents);
  // queries [O, F] or [B, O, F] to [B, O, E]. query_mask [B, O], true where a query counts: the others give zeros.
  at::Tensor decode(const at::Tensor& latents, const at::Tensor& queries, const at::Tensor& query_mask = {});
  // One input for all readings, each with its own zero tokens; pooled where there is a pool.
  at::Tensor forward(const ops::Source& input);

  const PerceiverOptions& options() const { return options_; }

 private:
  std::vector<nn::Context> with_zero_tokens(const std::vector<nn::Context>& contexts) const;

  PerceiverOptions options_;
  at::Tensor latents_;
  std::vector<at::Tensor> zero_tokens_;
  nn::Block encoder_{nullptr};
  nn::Stack blocks_{nullptr};
  nn::CrossAttentionLayer query_layer_{nullptr};
  nn::Attention query_attention_{nullptr};
  torch::nn::LayerNorm norm_{nullptr};
  nn::Linear linear_{nullptr};
};
TORCH_MODULE(Perceiver);

}  // namespace perceive::models
