// Under autocast, attend takes q, k and v in the lower precision, as libtorch's own attention does.
//
// attend_source has no autocast kernel: casting its values would copy the whole input.
#include <ATen/autocast_mode.h>
#include <torch/library.h>

#include "perceive/ops/registration.h"

namespace perceive::ops {
namespace {

std::tuple<at::Tensor, at::Tensor> attend_autocast(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                                   const at::Tensor& mask, const AttendScalars& scalars) {
  const c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::DispatchKey::AutocastCPU);
  const auto low = at::autocast::get_autocast_dtype(at::kCPU);
  return call_attend(at::autocast::cached_cast(low, q, at::kCPU), at::autocast::cached_cast(low, k, at::kCPU),
                     at::autocast::cached_cast(low, v, at::kCPU), mask, scalars);
}

// No check before the cast: the dtypes may still differ.
std::tuple<at::Tensor, at::Tensor> attend_entry(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                                const OptionalTensor& mask, double scale, bool causal, double dropout,
                                                int64_t seed, int64_t query_tile, int64_t key_tile) {
  return attend_autocast(q, k, v, or_undefined(mask), {scale, causal, dropout, seed, query_tile, key_tile});
}

}  // namespace

TORCH_LIBRARY_IMPL(perceive, AutocastCPU, library) {
  library.impl("attend", TORCH_FN(attend_entry));
}

}  // namespace perceive::ops
