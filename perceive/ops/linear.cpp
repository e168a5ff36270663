// Which linear layers run on the kernels, and their derivatives.
#include "perceive/ops/linear.h"

#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "perceive/ops/cpu/matmul.h"
#include "perceive/ops/registration.h"

namespace perceive::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

at::Tensor rows_of(const at::Tensor& x) {
  return x.reshape({-1, x.size(-1)});
}

// A second derivative is taken of libtorch's products.
at::Tensor product(const at::Tensor& a, const at::Tensor& b) {
  return at::GradMode::is_enabled() ? at::mm(a, b) : cpu::matmul(a, b, {});
}

class LinearFunction : public torch::autograd::Function<LinearFunction> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
                            const OptionalTensor& bias) {
    at::AutoDispatchBelowADInplaceOrView below;
    context->save_for_backward({x, weight});
    context->saved_data["bias"] = bias.has_value();
    auto sizes = x.sizes().vec();
    sizes.back() = weight.size(0);
    return cpu::matmul(rows_of(x), weight.t(), or_undefined(bias)).view(sizes);
  }

  static variable_list backward(AutogradContext* context, const variable_list& grads) {
    const auto saved = context->get_saved_variables();
    const auto& x = saved[0];
    const auto& weight = saved[1];
    const auto grad = rows_of(grads[0]);
    const bool bias = context->saved_data["bias"].toBool();
    return {context->needs_input_grad(0) ? product(grad, weight).view_as(x) : at::Tensor(),
            context->needs_input_grad(1) ? product(grad.t(), rows_of(x)) : at::Tensor(),
            bias && context->needs_input_grad(2) ? grad.sum(0) : at::Tensor()};
  }
};

bool on_kernels(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  const auto plain = [](const at::Tensor& t) {
    return t.device().is_cpu() && t.scalar_type() == at::kFloat && t.layout() == at::kStrided;
  };
  return plain(x) && plain(weight) && (!bias.defined() || plain(bias)) &&
         !at::autocast::is_autocast_enabled(at::kCPU) && x.dim() >= 2 && weight.dim() == 2 &&
         x.size(-1) == weight.size(1) && (!bias.defined() || (bias.dim() == 1 && bias.size(0) == weight.size(0))) &&
         cpu::outruns_blas(x.numel() / std::max<int64_t>(x.size(-1), 1), x.size(-1), weight.size(0));
}

}  // namespace

at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  if (!on_kernels(x, weight, bias)) return bias.defined() ? at::linear(x, weight, bias) : at::linear(x, weight);
  return LinearFunction::apply(x, weight, or_nullopt(bias));
}

}  // namespace perceive::ops
