// E and F: how linformer-pytorch projects keys and values along the length.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <memory>
#include <optional>
#include <string>

#include "perceive/models/dialects/linformer_pytorch/config.h"
#include "perceive/nn/length_projection.h"

namespace perceive::models::linformer_pytorch {

// A projection that several heads may share. Made as get_EF() makes it there: the same seed gives the same numbers.
class EF {
 public:
  EF() = default;
  explicit EF(const EFConfig& config);
  // Under `name`: a Linear(n, k), a Conv1d, or for no_params the random matrix [n, k] as a buffer.
  void register_in(torch::nn::Module& head, const std::string& name) const;
  // Its parameters themselves, or the matrix as the buffer `E`.
  void register_in(torch::nn::Module& module) const;
  nn::LengthProjection projection() const;
  // The last axis of x [..., n] from n to k; of a convolution, x [B, d, n].
  at::Tensor forward(const at::Tensor& x) const;
  bool is(const EF& other) const;
  explicit operator bool() const { return module_ || matrix_.defined(); }

 private:
  std::shared_ptr<torch::nn::Module> module_;
  at::Tensor matrix_;
};

// What get_EF() gives there, by itself.
class EFModuleImpl : public torch::nn::Module {
 public:
  explicit EFModuleImpl(const EFConfig& config) : ef_(config) { ef_.register_in(*this); }
  at::Tensor forward(const at::Tensor& x) { return ef_.forward(x); }

 private:
  EF ef_;
};
TORCH_MODULE(EFModule);

}  // namespace perceive::models::linformer_pytorch
