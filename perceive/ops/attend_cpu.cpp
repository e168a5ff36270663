// attend on the kernels of kernels/cpu: float32, bfloat16 where they multiply it, and half precision widened a tile at
// a time. float64 takes the formula, as does a call whose masked keys are not finite where only some queries are to be
// kept from them.
#include <ATen/ATen.h>
#include <torch/library.h>

#include "perceive/kernels/rows.h"
#include "perceive/ops/cpu/bf16_keys.h"
#include "perceive/ops/cpu/finite.h"
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
          .bf16 = q.scalar_type() == at::kBFloat16 && kernels::tile_kernels().pack_values != nullptr,
          .range = {0, k.size(2)},
          .scalars = scalars};
}

std::unique_ptr<cpu::TileReader> reader_of(const cpu::Shape& shape, const at::Tensor& k, const at::Tensor& v,
                                           cpu::Pass pass) {
  if (shape.bf16) return std::make_unique<cpu::Bf16Reader>(shape, k, v, pass);
  return std::make_unique<cpu::GivenReader>(shape, k, v);
}

bool by_formula(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& mask,
                const AttendScalars& scalars) {
  if (q.scalar_type() == at::kDouble || q.numel() == 0 || k.numel() == 0 || v.numel() == 0) return true;
  const auto m = mask_as_4d(mask);
  const bool by_pair = scalars.causal || (m.defined() && (m.size(1) > 1 || m.size(2) > 1));
  return by_pair && !(cpu::all_finite(k) && cpu::all_finite(v));
}

std::tuple<at::Tensor, at::Tensor> attend_cpu(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                              const at::Tensor& mask, const AttendScalars& scalars) {
  if (by_formula(q, k, v, mask, scalars)) return formula::attend(q, k, v, mask, scalars);
  const auto shape = shape_of(q, k, v, scalars);
  const auto plan = cpu::make_plan(shape, kernels::tile_kernels(), cpu::CutBy::size);
  return cpu::forward(shape, plan, q, mask_as_4d(mask), {},
                      [&] { return reader_of(shape, k, v, cpu::Pass::forward); });
}

// Adds what a tile's keys get to their rows of float tensors [B, Hk, M, D], one for each part of the rows: parts with
// different rows meet at the same keys.
class GivenGradients : public cpu::TileGradients {
 public:
  GivenGradients(const cpu::Shape& shape, const std::vector<at::Tensor>& k, const std::vector<at::Tensor>& v)
      : shape_(shape), k_{k, {}}, v_{v, {}} {}

  void begin(const cpu::Plan::Part& part, const cpu::Tile& tile, int64_t, kernels::Rows& grad_k,
             kernels::Rows& grad_v) override {
    grad_k = begin(k_, part, tile);
    grad_v = begin(v_, part, tile);
  }
  void end(const cpu::Plan::Part& part, const cpu::Tile& tile) override {
    end(k_, part, tile);
    end(v_, part, tile);
  }

 private:
  struct Side {
    const std::vector<at::Tensor>& grads;
    cpu::Floats scratch;
  };
  // The kernels write whole vectors: rows of such a width are added to in place.
  static bool in_place(int64_t width, const cpu::Tile& tile) {
    return tile.contiguous && width % kernels::tile_kernels().width == 0;
  }
  float* head(const Side& side, const cpu::Plan::Part& part) const {
    const auto& grad = side.grads[part.row_part];
    return grad.data_ptr<float>() + shape_.batch_of(part.item) * grad.stride(0) +
           shape_.key_head_of(part.item, 0) * grad.stride(1);
  }
  kernels::Rows begin(Side& side, const cpu::Plan::Part& part, const cpu::Tile& tile) const {
    const int64_t width = side.grads[0].size(3), pitch = cpu::padded(width, kernels::tile_kernels().width);
    if (in_place(width, tile)) return {head(side, part) + tile.index.front() * width, width};
    side.scratch.assign(tile.keys() * pitch, 0.0F);
    return {side.scratch.data(), pitch};
  }
  void end(const Side& side, const cpu::Plan::Part& part, const cpu::Tile& tile) const {
    const int64_t width = side.grads[0].size(3), pitch = cpu::padded(width, kernels::tile_kernels().width);
    if (in_place(width, tile)) return;
    float* const to = head(side, part);
    for (int64_t j = 0; j < tile.keys(); ++j) {
      kernels::row_kernels().add(side.scratch.data() + j * pitch, width, 1.0F, to + tile.index[j] * width);
    }
  }

  const cpu::Shape& shape_;
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
  const auto plan = cpu::make_plan(shape, kernels::tile_kernels(), cpu::CutBy::sums);
  std::vector<at::Tensor> grad_k, grad_v;
  for (size_t i = 0; i < plan.row_parts.size(); ++i) {
    grad_k.push_back(at::zeros(k.sizes(), k.options().dtype(at::kFloat)));
    grad_v.push_back(at::zeros(v.sizes(), v.options().dtype(at::kFloat)));
  }
  const auto grad_q = cpu::backward(shape, plan, {grad_out, grad_lse, q, mask_as_4d(mask), out, lse}, {},
                                    [&](int64_t) -> cpu::BackwardGroup {
                                      return {reader_of(shape, k, v, cpu::Pass::backward),
                                              std::make_unique<GivenGradients>(shape, grad_k, grad_v)};
                                    })
                          .q;
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
}

}  // namespace perceive::ops
