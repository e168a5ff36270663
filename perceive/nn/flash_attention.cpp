// Projections around ops::attend.
#include "perceive/nn/flash_attention.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>
#include <torch/cuda.h>

#include <algorithm>

#include "perceive/nn/checks.h"
#include "perceive/nn/heads.h"
#include "perceive/ops/linear.h"

namespace perceive::nn {
namespace {

std::vector<at::Device> all_gpus() {
  std::vector<at::Device> devices;
  for (c10::DeviceIndex i = 0; i < static_cast<c10::DeviceIndex>(torch::cuda::device_count()); ++i) {
    devices.emplace_back(at::kCUDA, static_cast<at::DeviceIndex>(i));
  }
  return devices;
}

}  // namespace

void check(const FlashAttentionOptions& options) {
  require_at_least("dim", options.dim, 1);
  require_at_least("heads", options.heads, 1);
  require_at_least("dim_head", options.dim_head, 1);
  require_at_least("q_bucket_size", options.q_bucket_size, 0);
  require_at_least("k_bucket_size", options.k_bucket_size, 0);
}

FlashAttentionImpl::FlashAttentionImpl(const FlashAttentionOptions& options) : options_(options) {
  check(options);
  if (options.parallel) devices_ = all_gpus();
  const int64_t inner = options.heads * options.dim_head;
  const auto linear = [&](const char* name, int64_t in, int64_t out) {
    return register_module(name, Linear(torch::nn::LinearOptions(in, out).bias(false)));
  };
  to_q_ = linear("to_q", options.dim, inner);
  to_kv_ = linear("to_kv", options.dim, 2 * inner);
  to_out_ = linear("to_out", inner, options.dim);
}

at::Tensor FlashAttentionImpl::forward(const at::Tensor& x, const FlashAttentionInputs& inputs) {
  const auto& context = inputs.context.defined() ? inputs.context : x;
  TORCH_CHECK_VALUE(x.dim() == 3 && x.size(2) == options_.dim, "FlashAttention: x must be [B, N, ", options_.dim,
                    "]; got ", x.sizes());
  TORCH_CHECK_VALUE(context.dim() == 3 && context.size(2) == options_.dim && context.size(0) == x.size(0),
                    "FlashAttention: context must be [", x.size(0), ", M, ", options_.dim, "]; got ", context.sizes());
  const ops::AttendOptions options{.causal = options_.causal,
                                   .query_tile = inputs.q_bucket_size.value_or(options_.q_bucket_size),
                                   .key_tile = inputs.k_bucket_size.value_or(options_.k_bucket_size)};
  const Sizes sizes{x.size(0), x.size(1), context.size(1)};
  check_call(sizes, options);
  Part whole{x, inputs.context, {}, to_q_->weight, to_kv_->weight, to_out_->weight};
  if (inputs.mask.defined()) whole.mask = mask_of(inputs.mask, sizes, options);
  if (!options_.parallel || devices_.empty()) return on_device(whole, options);

  const auto count = std::clamp<int64_t>(x.size(0), 1, static_cast<int64_t>(devices_.size()));
  const auto split = [&](const at::Tensor& tensor) {
    return tensor.defined() && tensor.size(0) == x.size(0) ? tensor.tensor_split(count)
                                                           : std::vector<at::Tensor>(count, tensor);
  };
  const auto xs = split(whole.x), contexts = split(whole.context), masks = split(whole.mask);
  std::vector<at::Tensor> outputs;
  for (int64_t i = 0; i < count; ++i) {
    Part part{xs[i], contexts[i], masks[i], whole.to_q, whole.to_kv, whole.to_out};
    part.move_to(devices_[i]);
    outputs.push_back(on_device(part, options));
  }
  // Only now: a copy back would wait for its device before the next one gets its part.
  for (auto& output : outputs) output = output.to(x.device());
  return at::cat(outputs);
}

void FlashAttentionImpl::Part::move_to(const at::Device& device) {
  for (auto* tensor : {&x, &context, &mask, &to_q, &to_kv, &to_out}) {
    if (tensor->defined()) *tensor = tensor->to(device, /*non_blocking=*/true);
  }
}

at::Tensor FlashAttentionImpl::on_device(const Part& part, const ops::AttendOptions& options) const {
  const auto heads = [&](const at::Tensor& y) { return split_heads(y, options_.heads); };
  auto q = heads(ops::linear(part.x, part.to_q));
  const auto both = ops::linear(part.context.defined() ? part.context : part.x, part.to_kv).chunk(2, -1);
  auto k = heads(both[0]), v = heads(both[1]);
  const auto type = q.scalar_type();
  if (options_.mixed_precision && type == at::kFloat) {
    const auto half = options_.mixed_precision_type == HalfPrecision::bfloat16 ? at::kBFloat16 : at::kHalf;
    for (auto* tensor : {&q, &k, &v}) *tensor = tensor->to(half);
  }
  const auto out = attended(q, k, v, part.mask, options).to(type);
  return ops::linear(merge_heads(out), part.to_out);
}

void FlashAttentionImpl::check_call(const Sizes&, const ops::AttendOptions& options) const {
  TORCH_CHECK_VALUE(options.query_tile >= 0 && options.key_tile >= 0,
                    "FlashAttention: bucket sizes must not be negative; got q_bucket_size ", options.query_tile,
                    " and k_bucket_size ", options.key_tile);
}

at::Tensor FlashAttentionImpl::mask_of(const at::Tensor& given, const Sizes& sizes, const ops::AttendOptions&) const {
  const std::array<int64_t, 4> whole{sizes.batch, options_.heads, sizes.queries, sizes.keys};
  at::Tensor mask = given;
  if (given.dim() == 2) mask = given.unsqueeze(1);
  if (mask.dim() == 3) mask = mask.unsqueeze(1);
  bool fits = mask.dim() == 4;
  for (int64_t i = 0; fits && i < 4; ++i) fits = mask.size(i) == 1 || mask.size(i) == whole[i];
  TORCH_CHECK_VALUE(fits, "FlashAttention: mask must be [B, M], [B, N, M] or [B, H, N, M] = ", at::IntArrayRef(whole),
                    ", with 1 in place of a size for all; got ", given.sizes());
  return mask.scalar_type() == at::kBool ? mask : mask.ne(0);
}

at::Tensor FlashAttentionImpl::attended(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                        const at::Tensor& mask, const ops::AttendOptions& options) const {
  return ops::attend(q, k, v, mask, options).out;
}

}  // namespace perceive::nn
