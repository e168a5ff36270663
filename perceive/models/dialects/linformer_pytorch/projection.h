// E and F: how linformer-pytorch projects keys and values along the length.
#pragma once

#include <torch/nn/module.h>

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
  nn::LengthProjection projection() const;
  bool is(const EF& other) const;
  explicit operator bool() const { return module_ || matrix_.defined(); }

 private:
  std::shared_ptr<torch::nn::Module> module_;
  at::Tensor matrix_;
};

}  // namespace perceive::models::linformer_pytorch
