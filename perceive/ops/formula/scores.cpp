// The arithmetic of one tile of scores, in ATen operations.
#include "perceive/ops/formula/scores.h"

#include <ATen/ATen.h>

#include <cmath>

#include "perceive/kernels/dropout.h"

namespace perceive::ops::formula {
namespace {

at::Tensor mask_block(const at::Tensor& mask, const Block& block) {
  const auto cut = [](const at::Tensor& t, int64_t dim, const Range& range) {
    return t.size(dim) == 1 ? t : narrow(t, dim, range);
  };
  return cut(cut(cut(mask, 0, block.items), 2, block.queries), 3, block.keys);
}

// Query i sees the keys up to i + (length - queries), counted in the whole sequence.
int64_t last_visible(const Problem& problem, int64_t query) {
  return query + problem.length - problem.queries - problem.first;
}

// What a masked key holds must not matter: 0 · NaN is NaN, so a sum over keys runs over finite numbers, and queries
// that do see a non-finite key are marked apart.
at::Tensor finite(const at::Tensor& t) {
  return at::nan_to_num(t, 0.0, 0.0, 0.0);
}

at::Tensor weighted_values(const at::Tensor& weights, const at::Tensor& v, const at::Tensor& visible) {
  if (!visible.defined() || at::isfinite(v).all().item<bool>()) return weights.matmul(v);
  const auto bad = at::isfinite(v).logical_not_();
  const auto seen = visible.expand({weights.size(0), weights.size(1), weights.size(2), weights.size(3)});
  const auto touched = seen.to(v.scalar_type()).matmul(bad.to(v.scalar_type())) > 0;
  return weights.matmul(finite(v)).masked_fill_(touched, NAN);
}

at::Tensor masked_scores(const at::Tensor& q, const at::Tensor& k, const at::Tensor& visible) {
  auto scores = q.matmul(k.transpose(2, 3));
  if (visible.defined()) scores.masked_fill_(visible.logical_not(), -INFINITY);
  return scores;
}

at::Tensor zero_where_empty(const at::Tensor& highest) {
  return highest.masked_fill(highest == -INFINITY, 0.0);
}

// Sums over the heads that shared one key head.
at::Tensor to_key_heads(const at::Tensor& gradient, int64_t key_heads) {
  return gradient.size(1) == key_heads ? gradient : gradient.sum(1, true);
}

}  // namespace

bool all_in_future(const Problem& problem, const Block& block) {
  return problem.scalars.causal && last_visible(problem, block.queries.end - 1) < block.keys.begin;
}

at::Tensor visible(const Problem& problem, const Block& block) {
  at::Tensor result;
  if (problem.mask.defined()) result = mask_block(problem.mask, block);
  if (problem.scalars.causal && last_visible(problem, block.queries.begin) < block.keys.end - 1) {
    const auto options = at::TensorOptions().dtype(at::kLong).device(problem.mask.defined() ? problem.mask.device()
                                                                                            : at::Device(at::kCPU));
    const auto query = at::arange(block.queries.begin, block.queries.end, options).unsqueeze(1);
    const auto key = at::arange(block.keys.begin, block.keys.end, options).unsqueeze(0);
    const auto past = (key <= query + last_visible(problem, 0)).unsqueeze(0).unsqueeze(0);
    result = result.defined() ? result.logical_and(past) : past;
  }
  return result;
}

at::Tensor dropout_scale(const Problem& problem, const Block& block, const at::TensorOptions& options) {
  const kernels::DropoutPattern pattern{static_cast<uint64_t>(problem.scalars.seed), problem.scalars.dropout};
  auto scale = at::empty({block.items.size(), problem.heads, block.queries.size(), block.keys.size()}, at::kFloat);
  auto* out = scale.data_ptr<float>();
  for (int64_t b = block.items.begin; b < block.items.end; ++b) {
    for (int64_t h = 0; h < problem.heads; ++h) {
      for (int64_t i = block.queries.begin; i < block.queries.end; ++i, out += block.keys.size()) {
        const auto row = static_cast<uint64_t>((b * problem.heads + h) * problem.queries + i);
        kernels::dropout_row(pattern, row, static_cast<uint64_t>(problem.first + block.keys.begin), block.keys.size(),
                             out);
      }
    }
  }
  return scale.to(options);
}

Running Running::empty(at::IntArrayRef rows, int64_t value_width, const at::TensorOptions& options) {
  auto out_sizes = rows.vec();
  out_sizes.push_back(value_width);
  return {at::full(rows, -INFINITY, options), at::zeros(rows, options), at::zeros(out_sizes, options)};
}

Running Running::queries(const Range& range) const {
  return {narrow(highest, 2, range), narrow(sum, 2, range), narrow(out, 2, range)};
}

void Running::add(const at::Tensor& q, const KeyTile& tile, const Problem& problem, const Block& block) {
  const auto seen = visible(problem, block);
  auto weights = masked_scores(q, tile.k, seen);
  const auto new_highest = at::maximum(highest, weights.amax(3));
  const auto reference = zero_where_empty(new_highest);
  weights.sub_(reference.unsqueeze(3)).exp_();
  const auto kept = (highest - reference).exp_();
  sum.mul_(kept).add_(weights.sum(3));
  if (problem.scalars.dropout > 0) weights.mul_(dropout_scale(problem, block, weights.options()));
  out.mul_(kept.unsqueeze(3)).add_(weighted_values(weights, tile.v, seen));
  highest.copy_(new_highest);
}

void Running::add(const Running& other) {
  const auto new_highest = at::maximum(highest, other.highest);
  const auto reference = zero_where_empty(new_highest);
  const auto mine = (highest - reference).exp_(), theirs = (other.highest - reference).exp_();
  sum.mul_(mine).add_(other.sum * theirs);
  out.mul_(mine.unsqueeze(3)).add_(other.out * theirs.unsqueeze(3));
  highest.copy_(new_highest);
}

at::Tensor Running::normalised() const {
  const auto empty = highest == -INFINITY;
  return (out / sum.masked_fill(empty, 1.0).unsqueeze(3)).masked_fill_(empty.unsqueeze(3), 0.0);
}

at::Tensor Running::lse() const {
  return highest + sum.log();
}

BlockGradients backward(const QueryState& queries, const KeyTile& tile, const Problem& problem, const Block& block) {
  const auto seen = visible(problem, block);
  const auto k = seen.defined() ? finite(tile.k) : tile.k, v = seen.defined() ? finite(tile.v) : tile.v;
  const auto p = masked_scores(queries.q, k, seen).sub_(queries.lse).exp_();
  auto grad_p = queries.grad_out.matmul(v.transpose(2, 3));
  BlockGradients gradients;
  if (problem.scalars.dropout > 0) {
    const auto scale = dropout_scale(problem, block, p.options());
    gradients.v = (p * scale).transpose(2, 3).matmul(queries.grad_out);
    grad_p.mul_(scale);
  } else {
    gradients.v = p.transpose(2, 3).matmul(queries.grad_out);
  }
  const auto grad_scores = grad_p.sub_(queries.delta).mul_(p);
  gradients.q = grad_scores.matmul(k);
  gradients.k = to_key_heads(grad_scores.transpose(2, 3).matmul(queries.q), tile.k.size(1));
  gradients.v = to_key_heads(gradients.v, tile.v.size(1));
  return gradients;
}

}  // namespace perceive::ops::formula
