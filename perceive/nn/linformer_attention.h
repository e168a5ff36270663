// Self-attention in time linear in the length: keys and values are projected along it (Wang et al. 2020, Linformer,
// arXiv 2006.04768), with masks that exclude, any length up to the longest, and a causal form.
//
// Shapes: B batch, n rows of C channels, H heads of D channels.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/pimpl.h>

#include <optional>
#include <string>

#include "perceive/ops/attend.h"

namespace perceive::nn {

struct LinformerAttentionOptions {
  int64_t heads = 1;
  std::optional<int64_t> head_channels;
  int64_t length = 512;
  int64_t projected = 64;
  bool causal = false;
  double dropout = 0.0;
};
template <class Visitor>
void visit(LinformerAttentionOptions& o, Visitor&& field) {
  field("heads", o.heads, "attention heads; must divide the channels unless head_channels is given");
  field("head_channels", o.head_channels, "channels of a head; default: an equal share");
  field("length", o.length, "the longest input; causal: rows of a block, of which an input has any number");
  field("projected", o.projected, "rows that keys and values are projected to; causal: those of a block");
  field("causal", o.causal,
        "a row sees itself, those before it in its block, and what earlier blocks are projected to");
  field("dropout", o.dropout, "probability of dropping an attention weight");
}
// Throws core::ConfigError; `key` is put in front of each option's name.
void check(const LinformerAttentionOptions& options, int64_t channels, const std::string& key = "");

// softmax(Q (E K)^T / sqrt(D)) E V per head, then the output projection. One E without bias serves the keys and the
// values of all heads; an input shorter than `length` meets E's first columns, so that padding behind it changes
// nothing. Registers query, key_value, projection [projected, length] and output.
class LinformerAttentionImpl : public torch::nn::Module {
 public:
  LinformerAttentionImpl(const LinformerAttentionOptions& options, int64_t channels);
  // x [B, n, C] to the same sizes. mask: bool [B, n], true where a row counts; a sample without such rows attends to
  // nothing, and gets the output projection's bias.
  at::Tensor forward(const at::Tensor& x, const at::Tensor& mask = {});

 private:
  at::Tensor whole(const at::Tensor& x, const at::Tensor& mask, const ops::AttendOptions& options);
  at::Tensor in_blocks(const at::Tensor& x, const at::Tensor& mask, ops::AttendOptions options);

  LinformerAttentionOptions options_;
  int64_t channels_;
  torch::nn::Linear query_{nullptr}, key_value_{nullptr}, output_{nullptr};
  at::Tensor projection_;
};
TORCH_MODULE(LinformerAttention);

}  // namespace perceive::nn
