// From options to libtorch's optimizers.
#include "perceive/train/optimizer.h"

#include <fmt/format.h>
#include <torch/optim.h>

#include <unordered_set>

#include "perceive/core/error.h"
#include "perceive/train/optimizer_state.h"
#include "perceive/train/own_optimizers.h"

namespace perceive::train {
namespace {

namespace optim = torch::optim;
using Parameters = std::vector<at::Tensor>;
using Made = std::unique_ptr<optim::Optimizer>;

Made make(const AdagradOptions& o, const Parameters& parameters) {
  return std::make_unique<optim::Adagrad>(parameters, optim::AdagradOptions(o.lr)
                                                          .lr_decay(o.lr_decay)
                                                          .weight_decay(o.weight_decay)
                                                          .initial_accumulator_value(o.initial_accumulator_value)
                                                          .eps(o.eps));
}
Made make(const AdamOptions& o, const Parameters& parameters) {
  return std::make_unique<optim::Adam>(parameters, optim::AdamOptions(o.lr)
                                                       .betas({o.betas[0], o.betas[1]})
                                                       .eps(o.eps)
                                                       .weight_decay(o.weight_decay)
                                                       .amsgrad(o.amsgrad));
}
Made make(const AdamWOptions& o, const Parameters& parameters) {
  return std::make_unique<optim::AdamW>(parameters, optim::AdamWOptions(o.lr)
                                                        .betas({o.betas[0], o.betas[1]})
                                                        .eps(o.eps)
                                                        .weight_decay(o.weight_decay)
                                                        .amsgrad(o.amsgrad));
}
Made make(const LBFGSOptions& o, const Parameters& parameters) {
  auto options = optim::LBFGSOptions(o.lr)
                     .max_iter(o.max_iter)
                     .max_eval(o.max_eval)
                     .tolerance_grad(o.tolerance_grad)
                     .tolerance_change(o.tolerance_change)
                     .history_size(o.history_size);
  if (o.line_search_fn) options.line_search_fn("strong_wolfe");
  return std::make_unique<optim::LBFGS>(parameters, options);
}
Made make(const RMSpropOptions& o, const Parameters& parameters) {
  return std::make_unique<optim::RMSprop>(parameters, optim::RMSpropOptions(o.lr)
                                                          .alpha(o.alpha)
                                                          .eps(o.eps)
                                                          .weight_decay(o.weight_decay)
                                                          .momentum(o.momentum)
                                                          .centered(o.centered));
}
Made make(const SGDOptions& o, const Parameters& parameters) {
  return std::make_unique<optim::SGD>(parameters, optim::SGDOptions(o.lr)
                                                      .momentum(o.momentum)
                                                      .dampening(o.dampening)
                                                      .weight_decay(o.weight_decay)
                                                      .nesterov(o.nesterov));
}

template <class O>
Made make(const O& o, const Parameters& parameters) {
  return std::make_unique<OwnOptimizer<O>>(parameters, o);
}

std::vector<NamedParameter> trained_parameters(const torch::nn::Module& module) {
  std::vector<NamedParameter> parameters;
  std::unordered_set<const c10::TensorImpl*> seen;
  for (const auto& item : module.named_parameters()) {
    if (item.value().requires_grad() && seen.insert(item.value().unsafeGetTensorImpl()).second) {
      parameters.push_back({item.key(), item.value()});
    }
  }
  return parameters;
}

}  // namespace

Optimizer::Optimizer(const OptimizerOptions& options, const torch::nn::Module& module)
    : name_(train::name(options)), parameters_(trained_parameters(module)) {
  check(options);
  if (parameters_.empty()) {
    throw core::ConfigError("there is nothing to train: the model has no parameter that requires a gradient");
  }
  Parameters tensors;
  for (const auto& parameter : parameters_) tensors.push_back(parameter.tensor);
  optimizer_ = std::visit([&](const auto& o) { return make(o, tensors); }, options);
}

Optimizer::~Optimizer() = default;

double Optimizer::lr() const {
  return optimizer_->param_groups()[0].options().get_lr();
}

void Optimizer::set_lr(double lr) {
  optimizer_->param_groups()[0].options().set_lr(lr);
}

std::optional<double> Optimizer::momentum() const {
  const auto& options = optimizer_->param_groups()[0].options();
  if (const auto* o = dynamic_cast<const optim::AdamOptions*>(&options)) return std::get<0>(o->betas());
  if (const auto* o = dynamic_cast<const optim::AdamWOptions*>(&options)) return std::get<0>(o->betas());
  if (const auto* o = dynamic_cast<const optim::SGDOptions*>(&options)) return o->momentum();
  if (const auto* o = dynamic_cast<const optim::RMSpropOptions*>(&options)) return o->momentum();
  std::optional<double> momentum;
  with_own(*optimizer_, [&](auto& own) {
    if constexpr (requires { own.options().betas; }) momentum = own.options().betas[0];
  });
  return momentum;
}

void Optimizer::set_momentum(double momentum) {
  auto& options = optimizer_->param_groups()[0].options();
  if (auto* o = dynamic_cast<optim::AdamOptions*>(&options)) std::get<0>(o->betas()) = momentum;
  if (auto* o = dynamic_cast<optim::AdamWOptions*>(&options)) std::get<0>(o->betas()) = momentum;
  if (auto* o = dynamic_cast<optim::SGDOptions*>(&options)) o->momentum(momentum);
  if (auto* o = dynamic_cast<optim::RMSpropOptions*>(&options)) o->momentum(momentum);
  with_own(*optimizer_, [&](auto& own) {
    if constexpr (requires { own.options().betas; }) own.options().betas[0] = momentum;
  });
}

void Optimizer::zero_grad() {
  optimizer_->zero_grad();
}

bool Optimizer::evaluates() const {
  return dynamic_cast<const optim::LBFGS*>(optimizer_.get()) != nullptr;
}

void Optimizer::step(const std::function<at::Tensor()>& evaluate) {
  TORCH_CHECK(evaluate || !evaluates(), name_, " needs a function that computes the loss again");
  optimizer_->step(evaluates() ? evaluate : nullptr);
}

io::Tensors Optimizer::state() const {
  return state_of(*optimizer_, parameters_);
}

void Optimizer::restore(const io::Tensors& state, const std::string& origin) {
  try {
    restore_state(*optimizer_, parameters_, state);
  } catch (const core::FileError& error) {
    throw core::FileError(
        fmt::format("{}: the state of the optimizer is not one of {} for this model: {}", origin, name_, error.what()));
  }
}

}  // namespace perceive::train
