// Initial weights drawn in the order of another code base, so that the same seed gives the same model there and here.
#pragma once

#include <torch/nn/module.h>

#include <string>
#include <utility>
#include <vector>

namespace perceive::models {

// What make() gives, with the default generator as it was before.
template <class Make>
auto without_draws(Make&& make);

// Draws from the default generator into a module's parameters by name; torch's defaults for each kind of layer. A name
// that the module has not is left out, draws and all.
class Draws {
 public:
  explicit Draws(const torch::nn::Module& module);
  void normal(const std::string& name);     // N(0, 1)
  void linear(const std::string& name);     // `name`.weight, and `name`.bias where there is one; convolutions likewise
  void recurrent(const std::string& name);  // a GRU cell's two matrices, then their biases
  // What the original draws and throws away.
  static void discarded_linear(int64_t in, int64_t out, bool bias);

 private:
  at::Tensor find(const std::string& name) const;

  torch::OrderedDict<std::string, at::Tensor> parameters_;
};

// Of the default generator.
class GeneratorState {
 public:
  GeneratorState();
  void restore() const;

 private:
  at::Tensor state_;
};

template <class Make>
auto without_draws(Make&& make) {
  const GeneratorState before;
  auto made = make();
  before.restore();
  return made;
}

}  // namespace perceive::models
