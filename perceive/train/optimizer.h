// An optimizer of libtorch over the parameters of a module, with a state that can be saved.
#pragma once

#include <torch/nn/module.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "perceive/io/tensors.h"
#include "perceive/train/optimizer_options.h"

namespace torch::optim {
class Optimizer;
}

namespace perceive::train {

struct NamedParameter {
  std::string name;  // its first one, where it is registered several times
  at::Tensor tensor;
};

class Optimizer {
 public:
  // Steps each distinct parameter that requires a gradient once, however often it is registered. Throws
  // core::ConfigError where there is none.
  Optimizer(const OptimizerOptions& options, const torch::nn::Module& module);
  ~Optimizer();

  const std::string& name() const { return name_; }
  const std::vector<NamedParameter>& parameters() const { return parameters_; }

  double lr() const;
  void set_lr(double lr);
  // `momentum` of SGD and RMSprop, the first of `betas` of those that have them; nothing for the others.
  std::optional<double> momentum() const;
  void set_momentum(double momentum);

  void zero_grad();
  // LBFGS computes loss and gradients again, as often as it needs, by calling `evaluate`; the others use the gradients
  // that are there.
  bool evaluates() const;
  void step(const std::function<at::Tensor()>& evaluate = nullptr);

  // Everything that the next steps depend on, bit for bit.
  io::Tensors state() const;
  // Throws core::FileError, said to come from `origin`, where the tensors are not those of this optimizer.
  void restore(const io::Tensors& state, const std::string& origin);

 private:
  std::string name_;
  std::vector<NamedParameter> parameters_;
  std::unique_ptr<torch::optim::Optimizer> optimizer_;
};

}  // namespace perceive::train
