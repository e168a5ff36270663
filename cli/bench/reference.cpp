// Two passes over the keys: the softmax' sums and the output, then the gradient.
#include "cli/bench/reference.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace perceive::cli::bench {
namespace {

constexpr int64_t kRows = 8, kBlock = 4096;

// The rows of q that belong to one item and head, with what the two passes find out about them.
struct Group {
  at::Tensor q, grad_out;    // [R, D]
  at::Tensor highest, sum;   // [R, 1]: of the scores, and of their exponentials below it
  at::Tensor out;            // [R, D]
  at::Tensor delta, grad_q;  // [R, 1], [R, D]
};

void add_to_out(Group& group, const at::Tensor& k, const at::Tensor& v, double scale) {
  const auto scores = group.q.matmul(k.t()) * scale;
  const auto highest = at::maximum(group.highest, scores.amax(1, true));
  const auto weights = (scores - highest).exp();
  const auto kept = (group.highest - highest).exp();
  group.sum = group.sum * kept + weights.sum(1, true);
  group.out = group.out * kept + weights.matmul(v);
  group.highest = highest;
}

void add_to_grad(Group& group, const at::Tensor& k, const at::Tensor& v, double scale) {
  const auto weights = (group.q.matmul(k.t()) * scale - group.highest).exp() / group.sum;
  const auto grad_scores = weights * (group.grad_out.matmul(v.t()) - group.delta);
  group.grad_q += grad_scores.matmul(k) * scale;
}

double relative_error(const at::Tensor& result, const std::vector<int64_t>& rows, const at::Tensor& expected) {
  const auto flat = result.detach().reshape({-1, result.size(3)});
  const auto found = flat.index_select(0, at::tensor(rows)).to(at::kDouble);
  const double error = (found - expected).abs().amax().item<double>(), size = expected.abs().amax().item<double>();
  return size > 0 ? error / size : error;
}

}  // namespace

Reference::Reference(at::Tensor q, at::Tensor grad_out, int64_t keys, KeysAndValues read)
    : q_(std::move(q)), grad_out_(std::move(grad_out)), keys_(keys), read_(std::move(read)) {
  const int64_t all = q_.size(0) * q_.size(1) * q_.size(2), count = std::min(all, kRows);
  for (int64_t r = 0; r < count; ++r) rows_.push_back(r * (all - 1) / std::max<int64_t>(count - 1, 1));
}

void Reference::compute() {
  if (out_.defined()) return;
  at::NoGradGuard no_grad;
  const int64_t heads = q_.size(1), latents = q_.size(2);
  const double scale = 1.0 / std::sqrt(static_cast<double>(q_.size(3)));
  const auto rows_of = [](const at::Tensor& t, const std::vector<int64_t>& rows) {
    return t.detach().reshape({-1, t.size(3)}).index_select(0, at::tensor(rows)).to(at::kDouble);
  };
  std::vector<at::Tensor> outs, grads;
  for (size_t begin = 0, end = 0; begin < rows_.size(); begin = end) {
    const int64_t head = rows_[begin] / latents;
    while (end < rows_.size() && rows_[end] / latents == head) ++end;
    const std::vector<int64_t> rows(rows_.begin() + static_cast<ptrdiff_t>(begin),
                                    rows_.begin() + static_cast<ptrdiff_t>(end));
    Group group{.q = rows_of(q_, rows), .grad_out = rows_of(grad_out_, rows)};
    group.out = at::zeros_like(group.q);
    group.grad_q = at::zeros_like(group.q);
    group.sum = group.q.new_zeros({group.q.size(0), 1});
    group.highest = at::full_like(group.sum, -std::numeric_limits<double>::infinity());
    const auto pass = [&](const auto& add) {
      for (int64_t first = 0; first < keys_; first += kBlock) {
        const auto [k, v] = read_(head / heads, head % heads, first, std::min(kBlock, keys_ - first));
        add(group, k, v, scale);
      }
    };
    pass(add_to_out);
    group.out /= group.sum;
    group.delta = (group.grad_out * group.out).sum(1, true);
    pass(add_to_grad);
    outs.push_back(group.out);
    grads.push_back(group.grad_q);
  }
  out_ = at::cat(outs);
  grad_q_ = at::cat(grads);
}

double Reference::error_of_out(const at::Tensor& out) {
  compute();
  return relative_error(out, rows_, out_);
}

double Reference::error_of_grad_q(const at::Tensor& grad_q) {
  compute();
  return relative_error(grad_q, rows_, grad_q_);
}

}  // namespace perceive::cli::bench
