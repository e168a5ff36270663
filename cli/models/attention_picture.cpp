// Attention weights of outputs as heat maps.
#include "cli/models/attention_picture.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>

#include "cli/pictures/heads.h"
#include "perceive/core/error.h"

namespace perceive::cli {
namespace {

constexpr int64_t kMostPixels = 440;  // of a side; more weights than that are averaged

// As the dialects call them, with a number behind.
bool are_weights(const std::string& name, const at::Tensor& tensor) {
  return (name.starts_with("P_bar.") || name.starts_with("attn_weights.")) && tensor.dim() == 4 && tensor.numel() > 0;
}

HeatMap map_of(const at::Tensor& weights) {
  const int64_t height = std::min(weights.size(0), kMostPixels), width = std::min(weights.size(1), kMostPixels);
  const auto small = at::adaptive_avg_pool2d(weights.unsqueeze(0), {height, width}).contiguous();
  const auto* data = small.const_data_ptr<float>();
  return {static_cast<int>(width), static_cast<int>(height), std::vector<float>(data, data + small.numel())};
}

}  // namespace

void draw_attention_weights(const models::Outputs& outputs, const std::string& heading, const std::string& png) {
  std::vector<HeadRow> rows;
  for (const auto& [name, tensor] : outputs) {
    if (!are_weights(name, tensor)) continue;
    HeadRow row{name, {}};
    for (const auto& head : tensor[0].detach().to(at::kCPU, at::kFloat).unbind()) row.heads.push_back(map_of(head));
    rows.push_back(std::move(row));
  }
  if (rows.empty()) {
    throw core::ConfigError(
        "--attention: the model gave no attention weights; ask for them in args_forward, by visualize or "
        "return_attn_weights, where its class has that flag");
  }
  draw_heads(heading, rows, png);
}

}  // namespace perceive::cli
