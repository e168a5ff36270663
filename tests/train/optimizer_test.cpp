#include "perceive/train/optimizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "perceive/core/config.h"
#include "perceive/core/error.h"

namespace perceive::train {

struct OptimizerCase {
  OptimizerOptions optimizer;
};
template <class Visitor>
void visit(OptimizerCase& o, Visitor&& field) {
  field("optimizer", o.optimizer, "");
}

namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

// The problem of tests/golden/make_optimizers.py.
at::Tensor wave(int64_t rows, int64_t columns, double frequency) {
  return (at::arange(1, rows * columns + 1, at::kDouble) * frequency).sin().reshape({rows, columns});
}
struct Problem : torch::nn::Module {
  Problem() {
    w = register_parameter("w", wave(3, 2, 0.9));
    b = register_parameter("b", wave(1, 2, 0.4));
  }
  at::Tensor backward() {
    zero_grad();
    const at::Tensor loss = (at::tanh(x.matmul(w) + b) - y).square().mean();
    loss.backward();
    return loss;
  }
  at::Tensor step(Optimizer& optimizer) {
    const at::Tensor loss = backward();
    optimizer.step([this] { return backward(); });
    return loss;
  }
  at::Tensor x = wave(7, 3, 0.7), y = wave(7, 2, 1.3), w, b;
};

nlohmann::json golden() {
  std::ifstream file(PERCEIVE_ROOT "/tests/golden/optimizers.json");
  return nlohmann::json::parse(file);
}

OptimizerOptions options_of(const nlohmann::json& json) {
  OptimizerCase options;
  core::assign_json(options, {{"optimizer", json}}, "golden");
  return options.optimizer;
}

io::Tensors copy(const io::Tensors& tensors) {
  io::Tensors copies;
  for (const auto& [name, tensor] : tensors) copies[name] = tensor.clone();
  return copies;
}

at::Tensor expected(const nlohmann::json& numbers) {
  return at::tensor(numbers.get<std::vector<double>>(), at::kDouble);
}

TEST(Optimizer, StepsAsTorchsPythonDoes) {
  for (const auto& example : golden()) {
    SCOPED_TRACE(example["options"].dump());
    Problem problem;
    Optimizer optimizer(options_of(example["options"]), problem);
    for (const double loss : example["losses"]) EXPECT_NEAR(problem.step(optimizer).item<double>(), loss, 1e-12);
    EXPECT_TRUE(at::allclose(problem.w.flatten(), expected(example["w"]), 1e-10, 1e-12));
    EXPECT_TRUE(at::allclose(problem.b.flatten(), expected(example["b"]), 1e-10, 1e-12));
  }
}

// pytorch-lamb's formula, written out; a zero parameter and one of a norm above 10 are among them.
TEST(Optimizer, LambStepsAsItsFormulaSays) {
  Problem problem;
  {
    const at::NoGradGuard no_grad;
    problem.w.mul_(20);
    problem.b.zero_();
  }
  const LambOptions o{.lr = 0.05, .betas = {0.8, 0.95}, .weight_decay = 0.1};
  Optimizer optimizer(o, problem);
  std::vector<at::Tensor> w{problem.w.detach().clone(), problem.b.detach().clone()};
  std::vector<at::Tensor> m{at::zeros_like(w[0]), at::zeros_like(w[1])}, v{at::zeros_like(w[0]), at::zeros_like(w[1])};
  for (int step = 0; step < 5; ++step) {
    problem.step(optimizer);
    const std::vector<at::Tensor> gradients{problem.w.grad(), problem.b.grad()};
    for (size_t i = 0; i < w.size(); ++i) {
      m[i] = 0.8 * m[i] + 0.2 * gradients[i];
      v[i] = 0.95 * v[i] + 0.05 * gradients[i].square();
      const auto change = m[i] / (v[i].sqrt() + o.eps) + 0.1 * w[i];
      const double norm = w[i].square().sum().sqrt().item<double>(),
                   length = change.square().sum().sqrt().item<double>();
      const double ratio = norm == 0 || length == 0 ? 1 : std::min(norm, 10.0) / length;
      w[i] = w[i] - 0.05 * ratio * change;
    }
    EXPECT_TRUE(at::allclose(problem.w, w[0], 1e-12, 1e-12));
    EXPECT_TRUE(at::allclose(problem.b, w[1], 1e-12, 1e-12));
  }
}

TEST(Optimizer, ContinuesFromItsStateBitForBit) {
  for (const auto& example : golden()) {
    SCOPED_TRACE(example["options"].dump());
    const auto options = options_of(example["options"]);
    Problem whole, resumed;
    Optimizer first(options, whole), second(options, resumed);
    for (int i = 0; i < 3; ++i) whole.step(first);
    second.restore(copy(first.state()), "here");
    {
      at::NoGradGuard no_grad;
      resumed.w.copy_(whole.w);
      resumed.b.copy_(whole.b);
    }
    for (int i = 0; i < 3; ++i) whole.step(first), resumed.step(second);
    EXPECT_TRUE(at::equal(whole.w, resumed.w));
    EXPECT_TRUE(at::equal(whole.b, resumed.b));
  }
}

TEST(Optimizer, StepsASharedParameterOnce) {
  struct Twice : torch::nn::Module {
    Twice() {
      shared = register_module("first", std::make_shared<Problem>());
      register_module("second", shared);
    }
    std::shared_ptr<Problem> shared;
  };
  Twice twice;
  Problem once;
  Optimizer of_twice(SGDOptions{.lr = 0.1}, twice), of_once(SGDOptions{.lr = 0.1}, once);
  EXPECT_EQ(of_twice.parameters().size(), 2);
  EXPECT_EQ(of_twice.parameters()[0].name, "first.w");
  twice.shared->step(of_twice), once.step(of_once);
  EXPECT_TRUE(at::equal(twice.shared->w, once.w));
}

TEST(Optimizer, LeavesFrozenParametersAlone) {
  Problem problem;
  problem.b.requires_grad_(false);
  const at::Tensor before = problem.b.clone();
  Optimizer optimizer(AdamWOptions{.weight_decay = 0.5}, problem);
  for (int i = 0; i < 3; ++i) problem.step(optimizer);
  EXPECT_TRUE(at::equal(problem.b, before));
  problem.w.requires_grad_(false);
  EXPECT_THAT([&] { Optimizer(AdamWOptions{}, problem); },
              ThrowsMessage<core::ConfigError>(HasSubstr("there is nothing to train")));
}

TEST(Optimizer, SkipsAParameterWithoutAGradient) {
  Problem problem;
  auto unused = problem.register_parameter("unused", at::ones({2}));
  Optimizer optimizer(AdamWOptions{}, problem);
  problem.step(optimizer);
  EXPECT_TRUE(at::equal(unused, at::ones({2})));
  Optimizer other(AdamWOptions{}, problem);
  EXPECT_NO_THROW(other.restore(copy(optimizer.state()), "here"));
}

TEST(Optimizer, SetsTheRateAndTheMomentum) {
  Problem problem;
  for (const OptimizerOptions& options :
       {OptimizerOptions(AdamWOptions{}), OptimizerOptions(AdamOptions{}), OptimizerOptions(SGDOptions{}),
        OptimizerOptions(RMSpropOptions{}), OptimizerOptions(AdamaxOptions{}), OptimizerOptions(LambOptions{}),
        OptimizerOptions(NAdamOptions{}), OptimizerOptions(RAdamOptions{})}) {
    Optimizer optimizer(options, problem);
    EXPECT_EQ(optimizer.lr(), learning_rate(options));
    optimizer.set_lr(0.5);
    optimizer.set_momentum(0.25);
    EXPECT_EQ(optimizer.lr(), 0.5);
    EXPECT_EQ(optimizer.momentum(), 0.25);
  }
  for (const OptimizerOptions& options :
       {OptimizerOptions(AdagradOptions{}), OptimizerOptions(LBFGSOptions{}), OptimizerOptions(AdadeltaOptions{}),
        OptimizerOptions(ASGDOptions{}), OptimizerOptions(RpropOptions{})}) {
    EXPECT_FALSE(Optimizer(options, problem).momentum());
  }
}

TEST(Optimizer, RefusesAStateThatIsNotItsOwn) {
  Problem problem;
  Optimizer adam(AdamOptions{}, problem);
  problem.step(adam);
  const auto expect_refused = [&](io::Tensors state, const OptimizerOptions& options, const std::string& message) {
    Optimizer optimizer(options, problem);
    EXPECT_THAT([&] { optimizer.restore(state, "run/last"); },
                ThrowsMessage<core::FileError>(testing::AllOf(HasSubstr("run/last: "), HasSubstr(message))));
  };
  expect_refused(adam.state(), SGDOptions{}, "'w/momentum_buffer' is missing");
  expect_refused(adam.state(), AdamOptions{.amsgrad = true}, "/max_exp_avg_sq' is missing: were its options others?");
  auto state = adam.state();
  state["w/exp_avg"] = at::zeros({2, 3});
  expect_refused(state, AdamOptions{}, "'w/exp_avg' is [2, 3], expected [3, 2]");
  state = adam.state();
  state["w/step"] = at::zeros({2});
  expect_refused(state, AdamOptions{}, "'w/step' is missing, or no single number");
  state = adam.state();
  state["elsewhere/step"] = at::zeros({});
  expect_refused(state, AdamOptions{}, "'elsewhere/step' belongs to no parameter");
}

TEST(Optimizer, RefusesWhatTorchRefuses) {
  const auto expect_refused = [](const OptimizerOptions& options, const std::string& message) {
    EXPECT_THAT([&] { check(options); }, ThrowsMessage<core::ConfigError>(HasSubstr(message)));
  };
  expect_refused(AdamWOptions{.lr = -1}, "AdamW.lr: expected 0 or more, got -1");
  expect_refused(AdamWOptions{.lr = NAN}, "AdamW.lr: expected 0 or more, got nan");
  expect_refused(AdamWOptions{.betas = {0.9}}, "AdamW.betas: expected two numbers from 0 to below 1, got [0.9]");
  expect_refused(AdamOptions{.betas = {0.9, 1.0}}, "Adam.betas: expected two numbers from 0 to below 1");
  expect_refused(SGDOptions{.nesterov = true}, "SGD.nesterov: expected a momentum above 0");
  expect_refused(RMSpropOptions{.alpha = -0.1}, "RMSprop.alpha: expected 0 or more, got -0.1");
  expect_refused(AdagradOptions{.lr_decay = -1}, "Adagrad.lr_decay: expected 0 or more");
  expect_refused(AdadeltaOptions{.rho = 1.1}, "Adadelta.rho: expected a number from 0 to 1, got 1.1");
  expect_refused(AdamaxOptions{.betas = {0.9, 1.0}}, "Adamax.betas: expected two numbers from 0 to below 1");
  expect_refused(ASGDOptions{.lambd = -1}, "ASGD.lambd: expected 0 or more, got -1");
  expect_refused(ASGDOptions{.t0 = NAN}, "ASGD.t0: expected a number, got nan");
  expect_refused(NAdamOptions{.momentum_decay = -1}, "NAdam.momentum_decay: expected 0 or more, got -1");
  expect_refused(RAdamOptions{.eps = -1}, "RAdam.eps: expected 0 or more, got -1");
  expect_refused(RpropOptions{.etas = {1.2, 0.5}}, "Rprop.etas: expected a number between 0 and 1, and one above 1");
  expect_refused(RpropOptions{.step_sizes = {1, 0.5}}, "Rprop.step_sizes: expected the smallest and the largest step");
  expect_refused(LBFGSOptions{.max_iter = 0}, "LBFGS.max_iter: expected 1 or more, got 0");
}

}  // namespace
}  // namespace perceive::train
