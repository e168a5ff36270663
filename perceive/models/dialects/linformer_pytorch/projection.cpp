// Projections along the length, by method.
#include "perceive/models/dialects/linformer_pytorch/projection.h"

#include <ATen/ATen.h>
#include <torch/nn/init.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>

#include "perceive/core/error.h"
#include "perceive/nn/checks.h"
#include "perceive/ops/linear.h"

namespace perceive::models::linformer_pytorch {

EF::EF(const EFConfig& config) {
  const auto method = method_of(config.method);
  nn::require_at_least("input_size", config.input_size, 1);
  nn::require_at_least("dim", config.dim, 1);
  if (method == Method::learnable) {
    torch::nn::Linear linear(torch::nn::LinearOptions(config.input_size, config.dim).bias(config.bias));
    torch::nn::init::xavier_normal_(linear->weight);
    module_ = linear.ptr();
  } else if (method == Method::convolution) {
    const int64_t step = config.input_size / config.dim;
    if (step == 0) {
      throw core::ConfigError("method: a convolution cannot make " + std::to_string(config.dim) + " rows of " +
                              std::to_string(config.input_size) + "; dim_k must be at most input_size");
    }
    if (!config.head_dim) throw core::ConfigError("head_dim is missing: a convolution works on a head's channels");
    const int64_t width = *config.head_dim;
    module_ = torch::nn::Conv1d(torch::nn::Conv1dOptions(width, width, step).stride(step)).ptr();
  } else {
    // The standard deviation of the original; the paper's is 1/sqrt(k).
    matrix_ = at::empty({config.input_size, config.dim}).normal_(0.0, 1.0 / static_cast<double>(config.dim));
  }
}

void EF::register_in(torch::nn::Module& head, const std::string& name) const {
  if (module_) {
    head.register_module(name, module_);
  } else {
    head.register_buffer(name, matrix_);
  }
}

void EF::register_in(torch::nn::Module& module) const {
  if (!module_) {
    module.register_buffer("E", matrix_);
    return;
  }
  for (const auto& item : module_->named_parameters(/*recurse=*/false)) {
    module.register_parameter(item.key(), item.value());
  }
}

at::Tensor EF::forward(const at::Tensor& x) const {
  const auto [weight, bias, stride] = projection();
  if (weight.dim() == 2) {
    TORCH_CHECK_VALUE(x.dim() >= 1 && x.size(-1) == weight.size(1), "get_EF: expected a length of ", weight.size(1),
                      " on the last axis; got ", x.sizes());
    return ops::linear(x, weight, bias);
  }
  TORCH_CHECK_VALUE(x.dim() == 3 && x.size(1) == weight.size(1) && x.size(2) >= weight.size(2),
                    "get_EF: a convolution expects [B, ", weight.size(1), ", ", weight.size(2), " or more]; got ",
                    x.sizes());
  return at::conv1d(x, weight, bias, weight.size(2));
}

nn::LengthProjection EF::projection() const {
  if (!module_) return {matrix_.t(), {}};
  const auto parameters = module_->named_parameters(/*recurse=*/false);
  const auto* bias = parameters.find("bias");
  return {parameters["weight"], bias ? *bias : at::Tensor()};
}

bool EF::is(const EF& other) const {
  return module_ ? module_ == other.module_ : !other.module_ && matrix_.is_same(other.matrix_);
}

}  // namespace perceive::models::linformer_pytorch
