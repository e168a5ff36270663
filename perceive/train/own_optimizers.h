// The optimizers that libtorch has not: those that only Python's torch.optim has, and LAMB.
#pragma once

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <torch/optim/optimizer.h>

#include <memory>
#include <type_traits>
#include <variant>
#include <vector>

#include "perceive/train/optimizer_options.h"

namespace perceive::train {

// What an optimizer knows of one parameter; its tensors begin with zeros. visit() names what is saved, tensors with
// `true` behind them: they must be there. advance() changes the parameter w by its gradient, with the operations of
// Python's torch in their order.
template <class Options>
struct OwnState;

// Zeiler 2012, arXiv 1212.5701.
template <>
struct OwnState<AdadeltaOptions> {
  at::Tensor square_avg, acc_delta;
};
void advance(OwnState<AdadeltaOptions>& state, at::Tensor& w, const at::Tensor& gradient, const AdadeltaOptions& o);
template <class Field>
void visit(OwnState<AdadeltaOptions>& s, Field&& field) {
  field("square_avg", s.square_avg, true);
  field("acc_delta", s.acc_delta, true);
}

// Kingma and Ba 2015, arXiv 1412.6980, section 7.1.
template <>
struct OwnState<AdamaxOptions> {
  int64_t step = 0;
  at::Tensor exp_avg, exp_inf;
};
void advance(OwnState<AdamaxOptions>& state, at::Tensor& w, const at::Tensor& gradient, const AdamaxOptions& o);
template <class Field>
void visit(OwnState<AdamaxOptions>& s, Field&& field) {
  field("step", s.step);
  field("exp_avg", s.exp_avg, true);
  field("exp_inf", s.exp_inf, true);
}

// Polyak and Juditsky 1992. The average `ax` is kept as torch keeps it: nothing reads it.
template <>
struct OwnState<ASGDOptions> {
  int64_t step = 0;
  double eta = 0, mu = 1;
  at::Tensor ax;
};
void advance(OwnState<ASGDOptions>& state, at::Tensor& w, const at::Tensor& gradient, const ASGDOptions& o);
template <class Field>
void visit(OwnState<ASGDOptions>& s, Field&& field) {
  field("step", s.step);
  field("eta", s.eta);
  field("mu", s.mu);
  field("ax", s.ax, true);
}

// You et al. 2019, arXiv 1904.00962, as pytorch-lamb has it, which flash-perceiver's CIFAR-10 example trains with:
// running means without bias correction, s = m / (sqrt(v) + eps) + weight_decay w, then w -= lr · r s with
// r = min(|w|, 10) / |s|, norms over a whole parameter; r = 1 where either is 0.
template <>
struct OwnState<LambOptions> {
  int64_t step = 0;
  at::Tensor exp_avg, exp_avg_sq;
};
void advance(OwnState<LambOptions>& state, at::Tensor& w, const at::Tensor& gradient, const LambOptions& o);
template <class Field>
void visit(OwnState<LambOptions>& s, Field&& field) {
  field("step", s.step);
  field("exp_avg", s.exp_avg, true);
  field("exp_avg_sq", s.exp_avg_sq, true);
}

// Dozat 2016, OpenReview OM0jvwB8jIp57ZJjtNEZ.
template <>
struct OwnState<NAdamOptions> {
  int64_t step = 0;
  double mu_product = 1;
  at::Tensor exp_avg, exp_avg_sq;
};
void advance(OwnState<NAdamOptions>& state, at::Tensor& w, const at::Tensor& gradient, const NAdamOptions& o);
template <class Field>
void visit(OwnState<NAdamOptions>& s, Field&& field) {
  field("step", s.step);
  field("mu_product", s.mu_product);
  field("exp_avg", s.exp_avg, true);
  field("exp_avg_sq", s.exp_avg_sq, true);
}

// Liu et al. 2020, arXiv 1908.03265.
template <>
struct OwnState<RAdamOptions> {
  int64_t step = 0;
  at::Tensor exp_avg, exp_avg_sq;
};
void advance(OwnState<RAdamOptions>& state, at::Tensor& w, const at::Tensor& gradient, const RAdamOptions& o);
template <class Field>
void visit(OwnState<RAdamOptions>& s, Field&& field) {
  field("step", s.step);
  field("exp_avg", s.exp_avg, true);
  field("exp_avg_sq", s.exp_avg_sq, true);
}

// Riedmiller and Braun 1993.
template <>
struct OwnState<RpropOptions> {
  int64_t step = 0;
  at::Tensor prev, step_size;
};
void advance(OwnState<RpropOptions>& state, at::Tensor& w, const at::Tensor& gradient, const RpropOptions& o);
template <class Field>
void visit(OwnState<RpropOptions>& s, Field&& field) {
  field("step", s.step);
  field("prev", s.prev, true);
  field("step_size", s.step_size, true);
}

template <class Values>
class OwnOptimizer : public torch::optim::Optimizer {
 public:
  struct Options : torch::optim::OptimizerCloneableOptions<Options> {
    explicit Options(const Values& values) : values(values) {}
    double get_lr() const override { return values.lr; }
    void set_lr(double lr) override { values.lr = lr; }
    Values values;
  };
  struct State : torch::optim::OptimizerCloneableParamState<State> {
    OwnState<Values> values;
  };

  OwnOptimizer(const std::vector<at::Tensor>& parameters, const Values& options)
      : Optimizer({torch::optim::OptimizerParamGroup(parameters)}, std::make_unique<Options>(options)) {}

  at::Tensor step(LossClosure closure = nullptr) override {
    at::Tensor loss;
    if (closure) {
      const at::AutoGradMode grad(true);
      loss = closure();
    }
    const at::NoGradGuard no_grad;
    for (auto& w : param_groups()[0].params()) {
      if (w.grad().defined()) advance(state_of(w), w, w.grad(), options());
    }
    return loss;
  }

  Values& options() { return static_cast<Options&>(param_groups()[0].options()).values; }
  // Made where there is none yet.
  OwnState<Values>& state_of(const at::Tensor& w) {
    auto& slot = state_[w.unsafeGetTensorImpl()];
    if (!slot) {
      slot = std::make_unique<State>();
      visit(static_cast<State&>(*slot).values, Zeros{w});
    }
    return static_cast<State&>(*slot).values;
  }

 private:
  struct Zeros {
    const at::Tensor& like;
    void operator()(const char* /*name*/, at::Tensor& tensor, bool /*needed*/) const { tensor = at::zeros_like(like); }
    void operator()(const char* /*name*/, auto& /*number*/) const {}  // keeps its default
  };
};

// Calls `use` with the optimizer where it is one of these; returns whether it is.
template <class... Os>
bool with_own(torch::optim::Optimizer& optimizer, const auto& use, std::type_identity<std::variant<Os...>> /*all*/) {
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
bool with_own(torch::optim::Optimizer& optimizer, const auto& use) {
  return with_own(optimizer, use, std::type_identity<OptimizerOptions>{});
}

}  // namespace perceive::train
