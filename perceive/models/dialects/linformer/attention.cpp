// Projections of heads along the length, and attention to their rows.
#include "perceive/models/dialects/linformer/attention.h"

#include <ATen/ATen.h>

#include <cmath>

#include "perceive/nn/heads.h"
#include "perceive/nn/length_projection.h"
#include "perceive/nn/seed.h"
#include "perceive/ops/attend.h"

namespace perceive::models::linformer {
namespace {

at::Tensor initial_projection(const LinformerSelfAttentionConfig& config) {
  const double bound = 1 / std::sqrt(static_cast<double>(config.k));
  return at::empty({config.seq_len, config.k}).uniform_(-bound, bound);
}

nn::Linear without_bias(int64_t in, int64_t out) {
  return nn::Linear(torch::nn::LinearOptions(in, out).bias(false));
}

}  // namespace

LinformerSelfAttentionImpl::LinformerSelfAttentionImpl(const LinformerSelfAttentionConfig& config) : config_(config) {
  check(config);
  const int64_t width = config.head_channels() * config.heads;
  const int64_t kv_width = config.one_kv_head ? config.head_channels() : width;
  // In the order of the original's draws.
  to_q_ = register_module("to_q", without_bias(config.dim, width));
  to_k_ = register_module("to_k", without_bias(config.dim, kv_width));
  proj_k_ = register_parameter("proj_k", initial_projection(config));
  if (!config.share_kv) {
    to_v_ = register_module("to_v", without_bias(config.dim, kv_width));
    proj_v_ = register_parameter("proj_v", initial_projection(config));
  }
  to_out_ = register_module("to_out", nn::Linear(width, config.dim));
}

void LinformerSelfAttentionImpl::require_shapes(const at::Tensor& x, const at::Tensor& context) const {
  TORCH_CHECK_VALUE(x.dim() == 3 && x.size(2) == config_.dim, "LinformerSelfAttention: expected x [B, n, ", config_.dim,
                    "]; got ", x.sizes());
  TORCH_CHECK_VALUE(context.dim() == 3 && context.size(0) == x.size(0) && context.size(2) == config_.dim,
                    "LinformerSelfAttention: expected context [", x.size(0), ", m, ", config_.dim, "]; got ",
                    context.sizes());
  TORCH_CHECK_VALUE(context.size(1) <= config_.seq_len,
                    "LinformerSelfAttention: the projections have seq_len = ", config_.seq_len,
                    " rows, and keys and values can have no more; got ", context.size(1), " in ",
                    context.is_same(x) ? "x " : "context ", context.sizes());
}

// Heads [B, h or 1, k, d] of the m rows.
at::Tensor LinformerSelfAttentionImpl::projected(const at::Tensor& context, const nn::Linear& to,
                                                 const at::Tensor& projection) const {
  const auto rows = projection.narrow(0, 0, context.size(1)).t();
  return nn::project_heads(context, to->weight, config_.one_kv_head ? 1 : config_.heads, {{rows, {}, {}}});
}

at::Tensor LinformerSelfAttentionImpl::forward(const at::Tensor& x, const at::Tensor& context) {
  const auto& read = context.defined() ? context : x;
  require_shapes(x, read);
  ops::AttendOptions options;
  if (is_training() && config_.dropout > 0) {
    options.dropout = config_.dropout;
    options.seed = nn::draw_seed();
  }
  const auto q = nn::split_heads(to_q_->forward(x), config_.heads);
  const auto k = projected(read, to_k_, proj_k_);
  const auto v = config_.share_kv ? k : projected(read, to_v_, proj_v_);
  return to_out_->forward(nn::merge_heads(ops::attend(q, k, v, {}, options).out));
}

}  // namespace perceive::models::linformer
