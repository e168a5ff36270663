// Feed-forward parts, residuals and positions.
#include "perceive/models/dialects/linformer_pytorch/parts.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "perceive/nn/checks.h"

namespace perceive::models::linformer_pytorch {

FeedForwardImpl::FeedForwardImpl(const FeedForwardOptions& options) : options_(options) {
  w_1_ = register_module("w_1", nn::Linear(options.input_channels, options.hidden_channels));
  w_2_ = register_module("w_2", nn::Linear(options.hidden_channels, options.output_channels));
}

at::Tensor FeedForwardImpl::forward(const at::Tensor& x) {
  TORCH_CHECK_VALUE(x.dim() >= 1 && x.size(-1) == options_.input_channels, "FeedForward: expected [..., ",
                    options_.input_channels, "]; got ", x.sizes());
  auto hidden = w_1_->forward(x);
  if (options_.activation) hidden = options_.activation == Activation::gelu ? at::gelu(hidden) : at::relu(hidden);
  const auto output = w_2_->forward(at::dropout(hidden, options_.dropout, is_training()));
  return at::dropout(output, options_.output_dropout, is_training());
}

ResidualImpl::ResidualImpl(std::shared_ptr<torch::nn::Module> fn, int64_t input_channels, int64_t output_channels) {
  register_module("fn", std::move(fn));
  if (input_channels != output_channels) {
    resample_ = register_module("resample", nn::Linear(input_channels, output_channels));
  }
  norm_ = register_module("norm", torch::nn::LayerNorm(torch::nn::LayerNormOptions({output_channels})));
}

at::Tensor ResidualImpl::forward(const at::Tensor& x, const at::Tensor& y) {
  return norm_->forward((resample_ ? resample_->forward(x) : x) + y);
}

PositionalEmbeddingImpl::PositionalEmbeddingImpl(int64_t channels) {
  nn::require_at_least("channels", channels, 1);
  // In single precision, as there: the frequencies are part of the weights.
  const auto exponents = at::arange(0, channels, 2, at::kFloat).div(static_cast<double>(channels));
  inv_freq_ = register_buffer("inv_freq", at::pow(100000.0, exponents).reciprocal());
}

at::Tensor PositionalEmbeddingImpl::forward(const at::Tensor& x) {
  TORCH_CHECK_VALUE(x.dim() >= 2, "PositionalEmbedding: expected [B, n, …]; got ", x.sizes());
  const auto places = at::arange(x.size(1), inv_freq_.options());
  const auto angles = at::outer(places, inv_freq_);
  return at::cat({angles.sin(), angles.cos()}, 1).unsqueeze(0);
}

at::Tensor in_blocks(const RowMap& rows, std::optional<int64_t> width, bool again) {
  constexpr int64_t kNumbers = 1 << 18, kLeast = 64;
  const auto& x = rows.by_row.front();
  const int64_t fitting = width ? kNumbers / std::max<int64_t>(1, x.size(0) * *width) : x.size(1);
  const int64_t length = std::max(kLeast, fitting);
  std::vector<std::vector<at::Tensor>> pieces;  // one split each: the gradient of a narrow() is as large as the whole
  for (const auto& each : rows.by_row) pieces.push_back(each.split(length, 1));
  std::vector<at::Tensor> results;
  for (size_t i = 0; i < pieces.front().size(); ++i) {
    std::vector<at::Tensor> inputs;
    for (const auto& piece : pieces) inputs.push_back(piece[i]);
    inputs.insert(inputs.end(), rows.whole.begin(), rows.whole.end());
    results.push_back(again ? nn::checkpoint(rows.map, inputs, rows.parameters) : rows.map(inputs));
  }
  return results.size() == 1 ? results.front() : at::cat(results, 1);
}

at::Tensor run_at(CheckpointLevel level, const LayerPart& part, const at::Tensor& x,
                  const std::vector<at::Tensor>& parameters) {
  if (level != CheckpointLevel::C1) return part(x, level == CheckpointLevel::C2);
  return nn::checkpoint([part](const std::vector<at::Tensor>& given) { return part(given[0], false); }, {x},
                        parameters);
}

void require_input(const at::Tensor& x, int64_t input_size, int64_t channels) {
  TORCH_CHECK_VALUE(x.dim() == 3, "expected x [B, ", input_size, ", ", channels, "]; got ", x.sizes());
  TORCH_CHECK_VALUE(x.size(1) == input_size, "This tensor is of the wrong size. Dimension 1 has to match the ",
                    "`input_size` flag: expected ", input_size, ", got ", x.size(1));
  TORCH_CHECK_VALUE(x.size(2) == channels, "This tensor is of the wrong size. Dimension 2 has to match the ",
                    "`channels` flag: expected ", channels, ", got ", x.size(2));
}

}  // namespace perceive::models::linformer_pytorch
