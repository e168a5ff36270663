// A product cut into strips of the longer side of its result, for the threads.
#include "perceive/ops/cpu/matmul.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>

#include "perceive/kernels/tile.h"

namespace perceive::ops::cpu {
namespace {

constexpr int64_t kSide = 32;                     // strips are so many rows or columns, at least
constexpr int64_t kLeastWork = int64_t{1} << 18;  // multiply-adds that repay a thread

// One of the two steps is 1.
at::Tensor with_a_step_of_one(const at::Tensor& t) {
  return t.stride(0) == 1 || t.stride(1) == 1 ? t : t.contiguous();
}

}  // namespace

bool outruns_blas(int64_t rows, int64_t depth, int64_t columns) {
  return kernels::tile_kernels().matmul != nullptr && std::min({rows, depth, columns}) >= kSide &&
         rows * depth * columns >= kLeastWork;
}

at::Tensor matmul(const at::Tensor& a_given, const at::Tensor& b_given, const at::Tensor& offset) {
  const int64_t rows = a_given.size(0), depth = a_given.size(1), columns = b_given.size(1);
  const auto otherwise = [&] {
    return offset.defined() ? at::addmm(offset, a_given, b_given) : at::mm(a_given, b_given);
  };
  if (!outruns_blas(rows, depth, columns)) return otherwise();
  const auto a = with_a_step_of_one(a_given), b = with_a_step_of_one(b_given);
  auto c = at::empty({rows, columns}, a.options());
  if (offset.defined()) c.copy_(offset);
  const kernels::Matmul whole{.a = a.const_data_ptr<float>(),
                              .row_step = a.stride(0),
                              .depth_step = a.stride(1),
                              .b = b.const_data_ptr<float>(),
                              .b_depth_step = b.stride(0),
                              .column_step = b.stride(1),
                              .c = {c.data_ptr<float>(), columns},
                              .rows = rows,
                              .depth = depth,
                              .columns = columns,
                              .add = offset.defined()};
  const bool by_rows = rows > columns;
  const int64_t strips = (std::max(rows, columns) + kSide - 1) / kSide;
  const int64_t work = kSide * depth * std::min(rows, columns);  // of a strip
  const int64_t threads = at::get_num_threads();
  std::atomic<bool> finite{true};
  at::parallel_for(0, strips, std::max((strips + threads - 1) / threads, kLeastWork / work),
                   [&](int64_t begin, int64_t end) {
                     kernels::Matmul strip = whole;
                     const int64_t first = begin * kSide;
                     if (by_rows) {
                       strip.a += first * strip.row_step;
                       strip.c.data += first * strip.c.stride;
                       strip.rows = std::min(rows, end * kSide) - first;
                     } else {
                       strip.b += first * strip.column_step;
                       strip.c.data += first;
                       strip.columns = std::min(columns, end * kSide) - first;
                     }
                     if (!kernels::tile_kernels().matmul(strip)) finite = false;
                   });
  return finite ? c : otherwise();
}

}  // namespace perceive::ops::cpu
