// Attention in time linear in the length: keys and values are projected along it (Wang et al. 2020, Linformer,
// arXiv 2006.04768), with masks that exclude, any length up to the longest, and a causal form.
//
// Shapes: B batch, n rows of C channels, m rows of a context, H heads of D channels.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <optional>
#include <string>

#include "perceive/nn/length_projector.h"
#include "perceive/nn/linear.h"
#include "perceive/ops/attend.h"

namespace perceive::nn {

struct LinformerAttentionOptions {
  int64_t heads = 1;
  std::optional<int64_t> head_channels;
  LengthProjectorOptions projection;
  bool causal = false;
  std::optional<int64_t> block;
  bool full_attention = false;
  double dropout = 0.0;
};
template <class Visitor>
void visit(LinformerAttentionOptions& o, Visitor&& field) {
  field("heads", o.heads, "attention heads; must divide the channels unless head_channels is given");
  field("head_channels", o.head_channels, "channels of a head; default: an equal share");
  visit(o.projection, field);
  field("causal", o.causal,
        "a row sees itself, those before it in its block, and what earlier blocks are projected to");
  field(
      "block", o.block,
      "rows of a causal block; default: a quarter of the length, at most 128, or what makes one projected row if that "
      "is more");
  field("full_attention", o.full_attention, "exact attention to all rows, without a projection");
  field("dropout", o.dropout, "probability of dropping an attention weight");
}
// Throws core::ConfigError; `key` is put in front of each option's name.
void check(const LinformerAttentionOptions& options, int64_t channels, const std::string& key = "");
double parameter_count(const LinformerAttentionOptions& options, int64_t channels, int64_t context_channels);
// What attention of these options projects with: causal, the rows of a block; nothing with full_attention.
LengthProjector make_projector(const LinformerAttentionOptions& options, int64_t channels);

// softmax(Q (E K)^T / sqrt(D)) F V per head, then the output projection. Causal: softmax over the keys of the own block
// up to the row itself and over E K of each earlier block. Registers query, key_value, projection and output.
class LinformerAttentionImpl : public torch::nn::Module {
 public:
  // projector: one that other layers have, too; without, the attention makes its own.
  LinformerAttentionImpl(const LinformerAttentionOptions& options, int64_t channels,
                         LengthProjector projector = nullptr, std::optional<int64_t> context_channels = std::nullopt);
  // x [B, n, C] to the same sizes. mask: bool [B, n], true where a row counts; a sample without such rows attends to
  // nothing, and gets the output projection's bias.
  at::Tensor forward(const at::Tensor& x, const at::Tensor& mask = {});
  // x [B, n, C] over the rows of `context` [B, m, context_channels], of which `mask` [B, m] says which count; n of any
  // size. Not of causal attention.
  at::Tensor read(const at::Tensor& x, const at::Tensor& context, const at::Tensor& mask = {});

 private:
  at::Tensor all(const at::Tensor& x, const at::Tensor& context, const at::Tensor& mask, bool causal);
  at::Tensor projected(const at::Tensor& x, const at::Tensor& context, const at::Tensor& mask);
  at::Tensor in_blocks(const at::Tensor& x, const at::Tensor& mask);
  ops::AttendOptions attend_options() const;

  LinformerAttentionOptions options_;
  int64_t channels_, context_channels_;
  Linear query_{nullptr}, key_value_{nullptr}, output_{nullptr};
  LengthProjector projection_{nullptr};
};
TORCH_MODULE(LinformerAttention);

}  // namespace perceive::nn
