// What the models of linformer-pytorch are made of besides attention.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/modules/normalization.h>
#include <torch/nn/pimpl.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "perceive/models/dialects/linformer_pytorch/config.h"
#include "perceive/nn/checkpoint.h"
#include "perceive/nn/linear.h"

namespace perceive::models::linformer_pytorch {

struct FeedForwardOptions {
  int64_t input_channels = 0, output_channels = 0, hidden_channels = 0;
  double dropout = 0.0, output_dropout = 0.0;
  std::optional<Activation> activation = Activation::gelu;
};

// w_2(activation(w_1(x))), x [..., input_channels].
class FeedForwardImpl : public torch::nn::Module {
 public:
  explicit FeedForwardImpl(const FeedForwardOptions& options);
  at::Tensor forward(const at::Tensor& x);
  // The most channels of a row.
  int64_t width() const {
    return std::max({options_.input_channels, options_.hidden_channels, options_.output_channels});
  }

 private:
  FeedForwardOptions options_;
  nn::Linear w_1_{nullptr}, w_2_{nullptr};
};
TORCH_MODULE(FeedForward);

// LayerNorm(x + y), where x takes another width by a linear map `resample`. Registers `fn`, whose result y is.
class ResidualImpl : public torch::nn::Module {
 public:
  ResidualImpl(std::shared_ptr<torch::nn::Module> fn, int64_t input_channels, int64_t output_channels);
  at::Tensor forward(const at::Tensor& x, const at::Tensor& y);

 private:
  nn::Linear resample_{nullptr};
  torch::nn::LayerNorm norm_{nullptr};
};
TORCH_MODULE(Residual);

// Sines, then cosines of each place over wavelengths up to 2 pi 100,000. Keeps its frequencies as a buffer.
class PositionalEmbeddingImpl : public torch::nn::Module {
 public:
  explicit PositionalEmbeddingImpl(int64_t channels);
  // x [B, n, …] to [1, n, channels], of an odd number one more, in the precision of the module.
  at::Tensor forward(const at::Tensor& x);

 private:
  at::Tensor inv_freq_;
};
TORCH_MODULE(PositionalEmbedding);

// A map of rows, the same for each: block by block it needs the memory of one block.
struct RowMap {
  nn::Segment map;                     // of a block of each of by_row, then of `whole`, to a block [B, rows, …]
  std::vector<at::Tensor> by_row;      // [B or 1, n, …]; the first one gives B
  std::vector<at::Tensor> whole;       // what every block reads
  std::vector<at::Tensor> parameters;  // of the map
};
// The map's result for all n rows. A block has as many rows as make a quarter of a million numbers, of B `width`
// numbers a row, and at least 64; without a width there is one block. `again`: the backward pass computes each block
// again. Random numbers are drawn block by block, so that they are the same either way.
at::Tensor in_blocks(const RowMap& rows, std::optional<int64_t> width, bool again);

// A part of a layer; `again` is for in_blocks().
using LayerPart = std::function<at::Tensor(const at::Tensor& x, bool again)>;
// part(x), of which is kept until the backward pass: at C0 all that it needs, at C1 x and, while its gradients are
// computed, the whole part, at C2 x and one block of rows. `part` outlives this call.
at::Tensor run_at(CheckpointLevel level, const LayerPart& part, const at::Tensor& x,
                  const std::vector<at::Tensor>& parameters);

// x [B, input_size, channels], or an error with the original's words.
void require_input(const at::Tensor& x, int64_t input_size, int64_t channels);

}  // namespace perceive::models::linformer_pytorch
