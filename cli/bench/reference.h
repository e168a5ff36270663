// Attention of a few rows in double, by the plain formula: what results are held against.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

namespace perceive::cli::bench {

// Keys and values [count, D] in double of one item and head, from the key `first` on.
using KeysAndValues =
    std::function<std::pair<at::Tensor, at::Tensor>(int64_t item, int64_t head, int64_t first, int64_t count)>;

// At most 8 queries, spread over items, heads and queries; keys are read in blocks. Computed at the first use.
class Reference {
 public:
  // q and grad_out [B, H, N, D].
  Reference(at::Tensor q, at::Tensor grad_out, int64_t keys, KeysAndValues read);

  // max |result - reference| / max |reference| of the rows, for the result and for the gradient of q.
  double error_of_out(const at::Tensor& out);
  double error_of_grad_q(const at::Tensor& grad_q);

 private:
  void compute();

  at::Tensor q_, grad_out_;
  int64_t keys_;
  KeysAndValues read_;
  std::vector<int64_t> rows_;  // of q as [B·H·N, D]
  at::Tensor out_, grad_q_;    // of these rows
};

}  // namespace perceive::cli::bench
