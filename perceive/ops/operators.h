// The operators as the dispatcher sees them: argument groups, calls through it, and the checks that every key makes.
#pragma once

#include <ATen/core/Tensor.h>

#include <tuple>
#include <vector>

#include "perceive/ops/attend.h"
#include "perceive/ops/plan.h"

namespace perceive::ops {

struct AttendScalars {
  double scale = 1.0;
  bool causal = false;
  double dropout = 0.0;
  int64_t seed = 0;
  int64_t query_tile = 0, key_tile = 0;
};

// A projection whose LayerNorm has no weights left and whose columns follow the axes.
struct FoldedProjection {
  at::Tensor key_weight, key_bias, value_weight, value_bias;
  bool normalize = false;
  double norm_eps = 1e-5;
  int64_t heads = 1;
  SourcePlan plan = SourcePlan::automatic;
};

// The values at hand are the keys first, first + 1, … of a source of `length` keys.
struct SourceRange {
  int64_t first = 0, length = 0;
};

struct SourceGradients {
  at::Tensor q, values;  // values: empty where not asked for
  std::vector<at::Tensor> axes;
  at::Tensor key_weight, key_bias, value_weight, value_bias;  // a bias that was not given: empty
};

AttendScalars scalars_of(const AttendOptions& options, const at::Tensor& q);
FoldedProjection fold_projection(const Source& source, const Projection& projection, const AttendOptions& options = {});

// Through the dispatcher. Undefined tensors stand for absent ones.
std::tuple<at::Tensor, at::Tensor> call_attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                               const at::Tensor& mask, const AttendScalars& scalars);
std::tuple<at::Tensor, at::Tensor, at::Tensor> call_attend_backward(const at::Tensor& grad_out,
                                                                    const at::Tensor& grad_lse, const at::Tensor& q,
                                                                    const at::Tensor& k, const at::Tensor& v,
                                                                    const at::Tensor& mask, const at::Tensor& out,
                                                                    const at::Tensor& lse,
                                                                    const AttendScalars& scalars);
std::tuple<at::Tensor, at::Tensor> call_attend_source(const at::Tensor& q, const at::Tensor& values,
                                                      at::TensorList axes, const at::Tensor& mask,
                                                      const FoldedProjection& projection, const SourceRange& range,
                                                      const AttendScalars& scalars);
SourceGradients call_attend_source_backward(const at::Tensor& grad_out, const at::Tensor& grad_lse, const at::Tensor& q,
                                            const at::Tensor& values, at::TensorList axes, const at::Tensor& mask,
                                            const FoldedProjection& projection, const at::Tensor& out,
                                            const at::Tensor& lse, const SourceRange& range,
                                            const AttendScalars& scalars, bool values_need_grad, bool axes_need_grad);

// A source whose values arrive in chunks: one operator call a chunk, merged.
Attended attend_chunks(const at::Tensor& q, const Source& source, const FoldedProjection& projection,
                       const AttendScalars& scalars);

// The work of a call to attend_source, forward, and its backward pass.
SourceWork source_work(const at::Tensor& q, int64_t keys, int64_t channels, at::TensorList axes,
                       const FoldedProjection& projection);
SourceWork backward_work(SourceWork work, bool input_grad);

// Throw c10::Error where shapes, dtypes or scalars do not fit; every key of an operator calls them first.
void check_attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& mask,
                  const AttendScalars& scalars);
void check_attend_source(const at::Tensor& q, const at::Tensor& values, at::TensorList axes, const at::Tensor& mask,
                         const FoldedProjection& projection, const SourceRange& range, const AttendScalars& scalars);
// Of the backward operators: what the forward ones gave, and gradients of it. `value_width`: of out.
void check_gradients(const char* who, const at::Tensor& q, int64_t value_width, const at::Tensor& out,
                     const at::Tensor& lse, const at::Tensor& grad_out, const at::Tensor& grad_lse);
// [B, M] as [B, 1, 1, M]; other masks with leading dimensions of 1 up to four. Undefined stays undefined.
at::Tensor mask_as_4d(const at::Tensor& mask);
// The dtype that scores and sums are held in: float64 for float64, float32 for the rest.
at::ScalarType accumulation_type(const at::Tensor& q);

}  // namespace perceive::ops
