// From options to libtorch's optimizers, and from their states to named tensors and back.
#include "perceive/train/optimizer.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/optim.h>

#include <set>
#include <type_traits>
#include <unordered_set>

#include "perceive/core/error.h"
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

// Calls `use` with the optimizer where it is one of our own.
template <class... Os>
bool with_own(std::type_identity<std::variant<Os...>> /*all*/, optim::Optimizer& optimizer, const auto& use) {
  const auto attempt = [&]<class O>(std::type_identity<O>) {
    if constexpr (requires { sizeof(OwnState<O>); }) {
      auto* own = dynamic_cast<OwnOptimizer<O>*>(&optimizer);
      if (own) use(*own);
      return own != nullptr;
    }
    return false;
  };
  return (attempt(std::type_identity<Os>{}) || ...);
}
constexpr std::type_identity<OptimizerOptions> kAll;

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

// The numbers and tensors that a parameter's state holds; the last argument says whether a tensor must be there.
template <class Field>
void visit_state(optim::AdagradParamState& s, const optim::AdagradOptions&, Field&& field) {
  field("step", s.step());
  field("sum", s.sum(), true);
}
void visit_adam_state(auto& s, bool amsgrad, auto&& field) {
  field("step", s.step());
  field("exp_avg", s.exp_avg(), true);
  field("exp_avg_sq", s.exp_avg_sq(), true);
  field("max_exp_avg_sq", s.max_exp_avg_sq(), amsgrad);
}
template <class Field>
void visit_state(optim::AdamParamState& s, const optim::AdamOptions& o, Field&& field) {
  visit_adam_state(s, o.amsgrad(), field);
}
template <class Field>
void visit_state(optim::AdamWParamState& s, const optim::AdamWOptions& o, Field&& field) {
  visit_adam_state(s, o.amsgrad(), field);
}
// The first parameter's is the state of all. Its `al` is written before it is read in every step.
template <class Field>
void visit_state(optim::LBFGSParamState& s, const optim::LBFGSOptions&, Field&& field) {
  field("func_evals", s.func_evals());
  field("n_iter", s.n_iter());
  field("t", s.t());
  field("prev_loss", s.prev_loss());
  field("d", s.d(), s.n_iter() > 0);
  field("H_diag", s.H_diag(), s.n_iter() > 0);
  field("prev_flat_grad", s.prev_flat_grad(), s.n_iter() > 0);
  field("old_dirs", s.old_dirs());
  field("old_stps", s.old_stps());
  field("ro", s.ro());
}
template <class Field>
void visit_state(optim::RMSpropParamState& s, const optim::RMSpropOptions& o, Field&& field) {
  field("step", s.step());
  field("square_avg", s.square_avg(), true);
  field("momentum_buffer", s.momentum_buffer(), o.momentum() > 0);
  field("grad_avg", s.grad_avg(), o.centered());
}
template <class Field>
void visit_state(optim::SGDParamState& s, const optim::SGDOptions&, Field&& field) {
  field("momentum_buffer", s.momentum_buffer(), true);
}

struct Saver {
  io::Tensors& to;
  std::string prefix;
  void operator()(const char* name, int64_t value) const { to[prefix + name] = at::scalar_tensor(value, at::kLong); }
  void operator()(const char* name, double value) const { to[prefix + name] = at::scalar_tensor(value, at::kDouble); }
  void operator()(const char* name, const at::Tensor& value, bool /*needed*/) const {
    if (value.defined()) to[prefix + name] = value;
  }
  void operator()(const char* name, const std::deque<at::Tensor>& values) const {
    for (size_t i = 0; i < values.size(); ++i) to[fmt::format("{}{}.{}", prefix, name, i)] = values[i];
  }
};

struct Restorer {
  const io::Tensors& from;
  std::set<std::string>& unused;  // names that no field has asked for yet
  std::string prefix;
  std::vector<int64_t> sizes;  // of every tensor
  bool or_scalar;              // LBFGS also keeps single numbers

  const at::Tensor* find(const std::string& name) const {
    const auto found = from.find(name);
    if (found == from.end()) return nullptr;
    unused.erase(name);
    return &found->second;
  }
  void number(const char* name, auto& value) const {
    const at::Tensor* found = find(prefix + name);
    if (!found || found->numel() != 1) {
      throw core::FileError(fmt::format("'{}{}' is missing, or no single number", prefix, name));
    }
    value = found->item<std::decay_t<decltype(value)>>();
  }
  bool tensor(const std::string& name, at::Tensor& value) const {
    const at::Tensor* found = find(name);
    if (!found) return false;
    if (found->sizes() != at::IntArrayRef(sizes) && !(or_scalar && found->dim() == 0)) {
      throw core::FileError(
          fmt::format("'{}' is [{}], expected [{}]", name, fmt::join(found->sizes(), ", "), fmt::join(sizes, ", ")));
    }
    value = found->clone();
    return true;
  }
  void operator()(const char* name, int64_t& value) const { number(name, value); }
  void operator()(const char* name, double& value) const { number(name, value); }
  void operator()(const char* name, at::Tensor& value, bool needed) const {
    if (!tensor(prefix + name, value) && needed) {
      throw core::FileError(fmt::format("'{}{}' is missing: were its options others?", prefix, name));
    }
  }
  void operator()(const char* name, std::deque<at::Tensor>& values) const {
    values.clear();
    for (at::Tensor value; tensor(fmt::format("{}{}.{}", prefix, name, values.size()), value);) values.push_back(value);
  }
};

// Calls visit_state() for the parameter's state, made where there is none yet, if the optimizer is of this class.
template <class Class, class State, class Options>
bool visit_state_of(optim::Optimizer& optimizer, const at::Tensor& parameter, const auto& field) {
  if (!dynamic_cast<Class*>(&optimizer)) return false;
  auto& state = optimizer.state()[parameter.unsafeGetTensorImpl()];
  if (!state) state = std::make_unique<State>();
  visit_state(static_cast<State&>(*state), static_cast<Options&>(optimizer.param_groups()[0].options()), field);
  return true;
}

void visit_state(optim::Optimizer& optimizer, const at::Tensor& parameter, const auto& field) {
  with_own(kAll, optimizer, [&](auto& own) { visit(own.state_of(parameter), field); }) ||
      visit_state_of<optim::Adagrad, optim::AdagradParamState, optim::AdagradOptions>(optimizer, parameter, field) ||
      visit_state_of<optim::Adam, optim::AdamParamState, optim::AdamOptions>(optimizer, parameter, field) ||
      visit_state_of<optim::AdamW, optim::AdamWParamState, optim::AdamWOptions>(optimizer, parameter, field) ||
      visit_state_of<optim::LBFGS, optim::LBFGSParamState, optim::LBFGSOptions>(optimizer, parameter, field) ||
      visit_state_of<optim::RMSprop, optim::RMSpropParamState, optim::RMSpropOptions>(optimizer, parameter, field) ||
      visit_state_of<optim::SGD, optim::SGDParamState, optim::SGDOptions>(optimizer, parameter, field);
}

// No parameter's name holds a '/'.
std::string prefix_of(const NamedParameter& parameter) {
  return parameter.name + "/";
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
  with_own(kAll, *optimizer_, [&](auto& own) {
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
  with_own(kAll, *optimizer_, [&](auto& own) {
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
  io::Tensors tensors;
  for (const auto& parameter : parameters_) {
    if (optimizer_->state().count(parameter.tensor.unsafeGetTensorImpl()) == 0) continue;
    visit_state(*optimizer_, parameter.tensor, Saver{tensors, prefix_of(parameter)});
  }
  return tensors;
}

void Optimizer::restore(const io::Tensors& state, const std::string& origin) {
  std::set<std::string> unused;
  for (const auto& [name, tensor] : state) unused.insert(name);
  int64_t total = 0;
  for (const auto& parameter : parameters_) total += parameter.tensor.numel();

  try {
    for (const auto& parameter : parameters_) {
      const std::string prefix = prefix_of(parameter);
      const auto first = state.lower_bound(prefix);
      if (first == state.end() || !first->first.starts_with(prefix)) continue;
      const auto sizes = evaluates() ? std::vector{total} : parameter.tensor.sizes().vec();
      visit_state(*optimizer_, parameter.tensor, Restorer{state, unused, prefix, sizes, evaluates()});
    }
    if (!unused.empty()) throw core::FileError(fmt::format("'{}' belongs to no parameter", *unused.begin()));
  } catch (const core::FileError& error) {
    throw core::FileError(
        fmt::format("{}: the state of the optimizer is not one of {} for this model: {}", origin, name_, error.what()));
  }
}

}  // namespace perceive::train
