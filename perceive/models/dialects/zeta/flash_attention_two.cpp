// The original's answers by calls of ops::attend.
#include "perceive/models/dialects/zeta/flash_attention_two.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>

namespace perceive::models::zeta {
namespace {

// ---- Masks

// How much of an axis a mask of another length reaches. The original cuts axis and mask into buckets and goes through
// both until one of them ends.
int64_t reach(const char* axis, int64_t mask, int64_t whole, int64_t bucket) {
  if (mask == 1 || mask == whole) return whole;
  const int64_t least = std::min(mask, whole);
  TORCH_CHECK_VALUE(least > 0 && least % bucket == 0, "FlashAttentionTwo: the mask is for ", mask, " ", axis,
                    " where there are ", whole, "; another number must differ by whole buckets, here of ", bucket);
  return least;
}

at::Tensor first(const at::Tensor& mask, int64_t axis, int64_t begin, int64_t length) {
  return !mask.defined() || mask.size(axis) == 1 ? mask : mask.narrow(axis, begin, length);
}

// ---- Attention

struct Heads {
  at::Tensor q, k, v, mask;  // [B, H, N, D], [B, H, M, D], [B, H, M, D], as mask_of() gives it

  Heads part(int64_t first_query, int64_t queries, int64_t keys) const {
    return {q.narrow(2, first_query, queries), k.narrow(2, 0, keys), v.narrow(2, 0, keys),
            first(first(mask, 2, first_query, queries), 3, 0, keys)};
  }
};

struct Result {
  at::Tensor out, empty;  // [B, H, N, D]; bool [B, H, N], true where a query has no key
};

Result attend(const Heads& heads, const ops::AttendOptions& options) {
  const auto [out, lse] = ops::attend(heads.q, heads.k, heads.v, heads.mask, options);
  return {out, lse.detach().eq(-INFINITY)};
}

// Query i sees the keys j <= i - behind: the first `behind` queries none; then a square of as many queries as keys,
// causal in itself; and the queries below that square all keys.
Result attend_causally(const Heads& heads, int64_t behind, ops::AttendOptions options) {
  const int64_t queries = heads.q.size(2), keys = heads.k.size(2);
  const int64_t above = std::min(behind, queries);
  const int64_t square = std::min(keys, queries - above);
  const int64_t below = queries - above - square;
  std::vector<at::Tensor> outs, empties;
  const auto add = [&](const Result& result) {
    outs.push_back(result.out);
    empties.push_back(result.empty);
  };
  if (above > 0) {
    const auto none = heads.q.narrow(2, 0, above).detach();
    add({at::zeros_like(none), at::ones(none.sizes().slice(0, 3), none.options().dtype(at::kBool))});
  }
  if (square > 0) add(attend(heads.part(above, square, square), options));
  options.causal = false;
  if (below > 0) add(attend(heads.part(above + square, below, keys), options));
  return {at::cat(outs, 2), at::cat(empties, 2)};
}

// x, whose gradient is `factor` times as large.
at::Tensor with_gradient(const at::Tensor& x, const at::Tensor& factor) {
  const auto value = x.detach();
  return value + (x - value) * factor;
}

// The mean of the values of the keys that the mask leaves. The original fills the scores with the lowest finite number,
// of which the softmax makes equal weights. Its backward pass takes the derivative at the scores as they were, and each
// weight for 1: beside that number the log of how many keys there are is lost. Here the scores are made so faint that
// their softmax is the mean; the derivatives are then the same ones, faint and divided by the number of keys.
at::Tensor mean_of_values(const Heads& heads, ops::AttendOptions options) {
  constexpr double kFaint = 0x1p-64;
  const auto& [q, k, v, mask] = heads;
  const auto loud = at::scalar_tensor(1 / kFaint, q.options());
  const auto keys = mask.defined() && mask.size(3) > 1 ? mask.sum(-1, true).to(q.scalar_type())
                                                       : at::scalar_tensor(k.size(2), q.options());
  options.causal = false;
  options.scale = kFaint / std::sqrt(static_cast<double>(q.size(3)));
  const auto out = ops::attend(with_gradient(q, loud), with_gradient(k, loud), v, mask, options).out;
  return with_gradient(out, keys);
}

at::Tensor fill_empty(const Heads& heads, const Result& result, const ops::AttendOptions& options) {
  const auto queries = result.empty.flatten(0, 1).any(0).nonzero().squeeze(1);
  if (queries.size(0) == 0) return result.out;
  const bool row_mask = heads.mask.defined() && heads.mask.size(2) > 1;
  const auto mean = mean_of_values(
      {heads.q.index_select(2, queries), heads.k, heads.v, row_mask ? heads.mask.index_select(2, queries) : heads.mask},
      options);
  const auto empty = result.empty.index_select(2, queries).unsqueeze(-1);
  return result.out.index_copy(2, queries, at::where(empty, mean, result.out.index_select(2, queries)));
}

}  // namespace

nn::FlashAttentionOptions native_options(const FlashAttentionTwoConfig& config) {
  return {.dim = config.dim,
          .heads = config.heads,
          .dim_head = config.dim_head,
          .causal = config.causal,
          .q_bucket_size = config.q_bucket_size,
          .k_bucket_size = config.k_bucket_size,
          .parallel = config.parallel};
}

FlashAttentionTwoImpl::FlashAttentionTwoImpl(const FlashAttentionTwoConfig& config)
    : FlashAttentionImpl(native_options(config)) {}

void FlashAttentionTwoImpl::check_call(const Sizes& sizes, const ops::AttendOptions& options) const {
  TORCH_CHECK_VALUE(options.query_tile > 0 && options.key_tile > 0,
                    "FlashAttentionTwo: bucket sizes must be at least 1; got q_bucket_size ", options.query_tile,
                    " and k_bucket_size ", options.key_tile);
  TORCH_CHECK_VALUE(sizes.keys > 0, "FlashAttentionTwo: the context is empty, of which the original makes NaN");
}

at::Tensor FlashAttentionTwoImpl::mask_of(const at::Tensor& given, const Sizes& sizes,
                                          const ops::AttendOptions& options) const {
  const auto type = given.scalar_type();
  TORCH_CHECK_VALUE(type == at::kBool || at::isIntegralType(type, false),
                    "FlashAttentionTwo: mask must be bool, true where a key counts; got ", type,
                    ". perceive.FlashAttention takes any dtype");
  auto mask = type == at::kBool ? given : given.ne(0);
  if (given.dim() == 2) mask = mask.unsqueeze(1).unsqueeze(1);
  if (given.dim() == 3) mask = mask.unsqueeze(0);
  const int64_t heads = this->options().heads;
  TORCH_CHECK_VALUE(mask.dim() == 4 && (mask.size(0) == 1 || mask.size(0) == sizes.batch) &&
                        (mask.size(1) == 1 || mask.size(1) == heads),
                    "FlashAttentionTwo: mask must be [B, M], [H, N, M] or [B, H, N, M], here with B = ", sizes.batch,
                    " and H = ", heads, ", or 1 in place of them; got ", given.sizes());
  mask = first(mask, 2, 0, reach("queries", mask.size(2), sizes.queries, options.query_tile));
  return first(mask, 3, 0, reach("keys", mask.size(3), sizes.keys, options.key_tile));
}

at::Tensor FlashAttentionTwoImpl::attended(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                           const at::Tensor& mask, const ops::AttendOptions& options) const {
  TORCH_CHECK_VALUE(q.scalar_type() == at::kFloat || q.scalar_type() == at::kDouble,
                    "FlashAttentionTwo: computes in float32 or float64, as the original; got ", q.scalar_type(),
                    ". perceive.FlashAttention takes half precision");
  const int64_t queries = q.size(2), keys = k.size(2);
  const bool row_mask = mask.defined() && mask.size(2) > 1, key_mask = mask.defined() && mask.size(3) > 1;
  const int64_t reached = row_mask ? mask.size(2) : queries;
  const auto heads = Heads{q, k, v, mask}.part(0, reached, key_mask ? mask.size(3) : keys);
  at::Tensor out;
  if (options.causal && reached > 0) {
    out = fill_empty(heads, attend_causally(heads, std::max<int64_t>(keys - queries, 0), options), options);
  } else {
    out = attend(heads, options).out;
  }
  return reached == queries ? out : at::constant_pad_nd(out, {0, 0, 0, queries - reached});
}

}  // namespace perceive::models::zeta
