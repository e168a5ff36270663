// What each optimizer's state holds, and its way to named tensors and back.
#include "perceive/train/optimizer_state.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/optim.h>

#include <set>

#include "perceive/core/error.h"
#include "perceive/train/own_optimizers.h"

namespace perceive::train {
namespace {

namespace optim = torch::optim;

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
  with_own(optimizer, [&](auto& own) { visit(own.state_of(parameter), field); }) ||
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

io::Tensors state_of(optim::Optimizer& optimizer, const std::vector<NamedParameter>& parameters) {
  io::Tensors tensors;
  for (const auto& parameter : parameters) {
    if (optimizer.state().count(parameter.tensor.unsafeGetTensorImpl()) == 0) continue;
    visit_state(optimizer, parameter.tensor, Saver{tensors, prefix_of(parameter)});
  }
  return tensors;
}

void restore_state(optim::Optimizer& optimizer, const std::vector<NamedParameter>& parameters,
                   const io::Tensors& state) {
  std::set<std::string> unused;
  for (const auto& [name, tensor] : state) unused.insert(name);
  const bool is_lbfgs = dynamic_cast<const optim::LBFGS*>(&optimizer) != nullptr;
  int64_t total = 0;
  for (const auto& parameter : parameters) total += parameter.tensor.numel();

  for (const auto& parameter : parameters) {
    const std::string prefix = prefix_of(parameter);
    const auto first = state.lower_bound(prefix);
    if (first == state.end() || !first->first.starts_with(prefix)) continue;
    const auto sizes = is_lbfgs ? std::vector{total} : parameter.tensor.sizes().vec();
    visit_state(optimizer, parameter.tensor, Restorer{state, unused, prefix, sizes, is_lbfgs});
  }
  if (!unused.empty()) throw core::FileError(fmt::format("'{}' belongs to no parameter", *unused.begin()));
}

}  // namespace perceive::train
