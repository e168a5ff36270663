// The operators on the kernels of kernels/cpu: float32, and half precision widened a tile at a time. float64 takes the
// formula, as does a call whose masked keys are not finite where only some queries are to be kept from them.
#include <ATen/ATen.h>
#include <torch/library.h>

#include <cmath>

#include "perceive/ops/cpu/walk.h"
#include "perceive/ops/formula/formula.h"
#include "perceive/ops/registration.h"

namespace perceive::ops {
namespace {

cpu::Shape shape_of(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const AttendScalars& scalars) {
  return {.batch = q.size(0),
          .heads = q.size(1),
          .queries = q.size(2),
          .keys = k.size(2),
          .key_width = q.size(3),
          .value_width = v.size(3),
          .key_heads = k.size(1),
          .range = {0, k.size(2)},
          .scalars = scalars};
}

// float32 is read once, and nothing allocated: x - x is 0 for finite numbers only.
bool all_finite(const at::Tensor& t) {
  if (t.scalar_type() != at::kFloat || t.stride(3) != 1) return at::isfinite(t).all().item<bool>();
  std::vector<double> sums(t.size(0) * t.size(1), 0.0);
  run_parts(static_cast<int64_t>(sums.size()), t.device(), [&](int64_t i) {
    const float* const head = t.const_data_ptr<float>() + i / t.size(1) * t.stride(0) + i % t.size(1) * t.stride(1);
    float sum = 0.0F;
    for (int64_t j = 0; j < t.size(2); ++j) {
      for (int64_t d = 0; d < t.size(3); ++d) sum += head[j * t.stride(2) + d] - head[j * t.stride(2) + d];
    }
    sums[i] = sum;
  });
  return std::all_of(sums.begin(), sums.end(), [](double sum) { return sum == 0.0; });
}

bool by_formula(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& mask,
                const AttendScalars& scalars) {
  if (q.scalar_type() == at::kDouble || q.numel() == 0 || k.numel() == 0 || v.numel() == 0) return true;
  const auto m = mask_as_4d(mask);
  const bool by_pair = scalars.causal || (m.defined() && (m.size(1) > 1 || m.size(2) > 1));
  return by_pair && !(all_finite(k) && all_finite(v));
}

std::tuple<at::Tensor, at::Tensor> attend_cpu(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                              const at::Tensor& mask, const AttendScalars& scalars) {
  if (by_formula(q, k, v, mask, scalars)) return formula::attend(q, k, v, mask, scalars);
  const auto shape = shape_of(q, k, v, scalars);
  const auto plan = cpu::make_plan(shape, kernels::tile_kernels(), false);
  return cpu::forward(shape, plan, q, mask_as_4d(mask),
                      [&] { return std::make_unique<cpu::GivenReader>(shape, k, v); });
}

// Adds what a tile's keys get to their rows of float tensors [B, Hk, M, D].
class GivenGradients : public cpu::TileGradients {
 public:
  GivenGradients(const cpu::Shape& shape, int64_t item, const at::Tensor& grad_k, const at::Tensor& grad_v)
      : k_(shape, item, grad_k), v_(shape, item, grad_v) {}

  void begin(const cpu::Tile& tile, int64_t, kernels::Rows& grad_k, kernels::Rows& grad_v) override {
    grad_k = k_.begin(tile);
    grad_v = v_.begin(tile);
  }
  void end(int64_t, const cpu::Tile& tile) override {
    k_.end(tile);
    v_.end(tile);
  }

 private:
  struct Side {
    float* head;
    int64_t width, pitch;
    std::vector<float> scratch;

    Side(const cpu::Shape& shape, int64_t item, const at::Tensor& grad)
        : head(grad.data_ptr<float>() + shape.batch_of(item) * grad.stride(0) +
               shape.key_head_of(item, 0) * grad.stride(1)),
          width(grad.size(3)),
          pitch(cpu::padded(width, kernels::tile_kernels().width)) {}
    kernels::Rows begin(const cpu::Tile& tile) {
      scratch.assign(tile.index.size() * pitch, 0.0F);
      return {scratch.data(), pitch};
    }
    void end(const cpu::Tile& tile) const {
      for (size_t j = 0; j < tile.index.size(); ++j) {
        float* const to = head + tile.index[j] * width;
        const float* const from = scratch.data() + static_cast<int64_t>(j) * pitch;
        for (int64_t d = 0; d < width; ++d) to[d] += from[d];
      }
    }
  };
  Side k_, v_;
};

std::tuple<at::Tensor, at::Tensor, at::Tensor> attend_backward_cpu(const at::Tensor& grad_out,
                                                                   const at::Tensor& grad_lse, const at::Tensor& q,
                                                                   const at::Tensor& k, const at::Tensor& v,
                                                                   const at::Tensor& mask, const at::Tensor& out,
                                                                   const at::Tensor& lse,
                                                                   const AttendScalars& scalars) {
  if (by_formula(q, k, v, mask, scalars)) {
    return formula::attend_backward(grad_out, grad_lse, q, k, v, mask, out, lse, scalars);
  }
  const auto shape = shape_of(q, k, v, scalars);
  const auto plan = cpu::make_plan(shape, kernels::tile_kernels(), false);
  // Parts with different rows meet at the same keys, so each such part sums into tensors of its own.
  std::vector<at::Tensor> grad_k, grad_v;
  for (size_t i = 0; i < plan.row_parts.size(); ++i) {
    grad_k.push_back(at::zeros(k.sizes(), k.options().dtype(at::kFloat)));
    grad_v.push_back(at::zeros(v.sizes(), v.options().dtype(at::kFloat)));
  }
  const auto grad_q = cpu::backward(
      shape, plan, grad_out, grad_lse, q, mask_as_4d(mask), out, lse,
      [&](int64_t, const cpu::Plan::Part& part) -> cpu::BackwardPart {
        return {std::make_unique<cpu::GivenReader>(shape, k, v),
                std::make_unique<GivenGradients>(shape, part.item, grad_k[part.row_part], grad_v[part.row_part])};
      });
  for (size_t i = 1; i < grad_k.size(); ++i) {
    grad_k[0].add_(grad_k[i]);
    grad_v[0].add_(grad_v[i]);
  }
  return {grad_q, grad_k[0].to(k.scalar_type()), grad_v[0].to(v.scalar_type())};
}

}  // namespace

TORCH_LIBRARY_IMPL(perceive, CPU, library) {
  library.impl("attend", TORCH_FN(AttendKernel<attend_cpu>::call));
  library.impl("attend_backward", TORCH_FN(AttendBackwardKernel<attend_backward_cpu>::call));
  library.impl("attend_source", TORCH_FN(AttendSourceKernel<formula::attend_source>::call));
  library.impl("attend_source_backward", TORCH_FN(AttendSourceBackwardKernel<formula::attend_source_backward>::call));
}

}  // namespace perceive::ops
