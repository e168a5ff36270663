// The optimizers of torch.optim with their Python names, arguments and defaults; and LAMB.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace perceive::train {

// Source: torch.optim of PyTorch 2.15.

struct AdadeltaOptions {
  static constexpr const char* kName = "Adadelta";
  double lr = 1.0;
  double rho = 0.9;
  double eps = 1e-6;
  double weight_decay = 0;
};
template <class Visitor>
void visit(AdadeltaOptions& o, Visitor&& field) {
  field("lr", o.lr, "learning rate");
  field("rho", o.rho, "decay of the running means of the squared gradient and the squared step");
  field("eps", o.eps, "added to both means");
  field("weight_decay", o.weight_decay, "L2 penalty");
}

struct AdagradOptions {
  static constexpr const char* kName = "Adagrad";
  double lr = 1e-2;
  double lr_decay = 0;
  double weight_decay = 0;
  double initial_accumulator_value = 0;
  double eps = 1e-10;
};
template <class Visitor>
void visit(AdagradOptions& o, Visitor&& field) {
  field("lr", o.lr, "learning rate");
  field("lr_decay", o.lr_decay, "the rate at step t is lr / (1 + (t - 1) lr_decay)");
  field("weight_decay", o.weight_decay, "L2 penalty");
  field("initial_accumulator_value", o.initial_accumulator_value, "start of the sum of squared gradients");
  field("eps", o.eps, "added to the denominator");
}

struct AdamOptions {
  static constexpr const char* kName = "Adam";
  double lr = 1e-3;
  std::vector<double> betas = {0.9, 0.999};
  double eps = 1e-8;
  double weight_decay = 0;
  bool amsgrad = false;
};
template <class Visitor>
void visit(AdamOptions& o, Visitor&& field) {
  field("lr", o.lr, "learning rate");
  field("betas", o.betas, "decay of the running means of the gradient and of its square");
  field("eps", o.eps, "added to the denominator");
  field("weight_decay", o.weight_decay, "L2 penalty");
  field("amsgrad", o.amsgrad, "divide by the largest mean square so far");
}

struct AdamaxOptions {
  static constexpr const char* kName = "Adamax";
  double lr = 2e-3;
  std::vector<double> betas = {0.9, 0.999};
  double eps = 1e-8;
  double weight_decay = 0;
};
template <class Visitor>
void visit(AdamaxOptions& o, Visitor&& field) {
  field("lr", o.lr, "learning rate");
  field("betas", o.betas, "decay of the running mean of the gradient and of its largest size");
  field("eps", o.eps, "added to the size of each gradient");
  field("weight_decay", o.weight_decay, "L2 penalty");
}

struct AdamWOptions {
  static constexpr const char* kName = "AdamW";
  double lr = 1e-3;
  std::vector<double> betas = {0.9, 0.999};
  double eps = 1e-8;
  double weight_decay = 1e-2;
  bool amsgrad = false;
};
template <class Visitor>
void visit(AdamWOptions& o, Visitor&& field) {
  field("lr", o.lr, "learning rate");
  field("betas", o.betas, "decay of the running means of the gradient and of its square");
  field("eps", o.eps, "added to the denominator");
  field("weight_decay", o.weight_decay, "part of lr by which every parameter shrinks at each step");
  field("amsgrad", o.amsgrad, "divide by the largest mean square so far");
}

struct ASGDOptions {
  static constexpr const char* kName = "ASGD";
  double lr = 1e-2;
  double lambd = 1e-4;
  double alpha = 0.75;
  double t0 = 1e6;
  double weight_decay = 0;
};
template <class Visitor>
void visit(ASGDOptions& o, Visitor&& field) {
  field("lr", o.lr, "learning rate");
  field("lambd", o.lambd, "part of the rate by which every parameter shrinks; the rate falls with it");
  field("alpha", o.alpha, "the rate at step t is lr / (1 + lambd lr t)^alpha");
  field("t0", o.t0, "steps after which averaging begins");
  field("weight_decay", o.weight_decay, "L2 penalty");
}

enum class LineSearch { strong_wolfe };
constexpr auto enum_names(LineSearch) {
  return std::array{std::pair{LineSearch::strong_wolfe, "strong_wolfe"}};
}

struct LBFGSOptions {
  static constexpr const char* kName = "LBFGS";
  double lr = 1;
  int64_t max_iter = 20;
  std::optional<int64_t> max_eval;
  double tolerance_grad = 1e-7;
  double tolerance_change = 1e-9;
  int64_t history_size = 100;
  std::optional<LineSearch> line_search_fn;
};
template <class Visitor>
void visit(LBFGSOptions& o, Visitor&& field) {
  field("lr", o.lr, "learning rate");
  field("max_iter", o.max_iter, "iterations in one step");
  field("max_eval", o.max_eval, "evaluations of the loss in one step; null: max_iter * 5 / 4");
  field("tolerance_grad", o.tolerance_grad, "a largest gradient up to this ends the step");
  field("tolerance_change", o.tolerance_change, "a change of the loss or the parameters below this ends the step");
  field("history_size", o.history_size, "updates remembered");
  field("line_search_fn", o.line_search_fn, "how far to go in a direction; null: lr");
}

struct LambOptions {
  static constexpr const char* kName = "Lamb";
  double lr = 1e-3;
  std::vector<double> betas = {0.9, 0.999};
  double eps = 1e-6;
  double weight_decay = 0;
};
template <class Visitor>
void visit(LambOptions& o, Visitor&& field) {
  field("lr", o.lr, "learning rate");
  field("betas", o.betas, "decay of the running means of the gradient and of its square");
  field("eps", o.eps, "added to the denominator");
  field("weight_decay", o.weight_decay, "part of a parameter that is added to its step");
}

struct NAdamOptions {
  static constexpr const char* kName = "NAdam";
  double lr = 2e-3;
  std::vector<double> betas = {0.9, 0.999};
  double eps = 1e-8;
  double weight_decay = 0;
  double momentum_decay = 4e-3;
  bool decoupled_weight_decay = false;
};
template <class Visitor>
void visit(NAdamOptions& o, Visitor&& field) {
  field("lr", o.lr, "learning rate");
  field("betas", o.betas, "decay of the running means of the gradient and of its square");
  field("eps", o.eps, "added to the denominator");
  field("weight_decay", o.weight_decay, "L2 penalty, or as decoupled_weight_decay says");
  field("momentum_decay", o.momentum_decay, "how fast the momentum rises from half of betas[0] to all of it");
  field("decoupled_weight_decay", o.decoupled_weight_decay, "shrink the parameters by lr * weight_decay instead");
}

struct RAdamOptions {
  static constexpr const char* kName = "RAdam";
  double lr = 1e-3;
  std::vector<double> betas = {0.9, 0.999};
  double eps = 1e-8;
  double weight_decay = 0;
  bool decoupled_weight_decay = false;
};
template <class Visitor>
void visit(RAdamOptions& o, Visitor&& field) {
  field("lr", o.lr, "learning rate");
  field("betas", o.betas, "decay of the running means of the gradient and of its square");
  field("eps", o.eps, "added to the denominator");
  field("weight_decay", o.weight_decay, "L2 penalty, or as decoupled_weight_decay says");
  field("decoupled_weight_decay", o.decoupled_weight_decay, "shrink the parameters by lr * weight_decay instead");
}

struct RMSpropOptions {
  static constexpr const char* kName = "RMSprop";
  double lr = 1e-2;
  double alpha = 0.99;
  double eps = 1e-8;
  double weight_decay = 0;
  double momentum = 0;
  bool centered = false;
};
template <class Visitor>
void visit(RMSpropOptions& o, Visitor&& field) {
  field("lr", o.lr, "learning rate");
  field("alpha", o.alpha, "decay of the running mean of the squared gradient");
  field("eps", o.eps, "added to the denominator");
  field("weight_decay", o.weight_decay, "L2 penalty");
  field("momentum", o.momentum, "part of the last update that goes on");
  field("centered", o.centered, "divide by the estimated variance instead of the mean square");
}

struct RpropOptions {
  static constexpr const char* kName = "Rprop";
  double lr = 1e-2;
  std::vector<double> etas = {0.5, 1.2};
  std::vector<double> step_sizes = {1e-6, 50};
};
template <class Visitor>
void visit(RpropOptions& o, Visitor&& field) {
  field("lr", o.lr, "size of the first step; schedules change nothing after it");
  field("etas", o.etas, "factors of the step where the gradient's sign turned, and where it stayed");
  field("step_sizes", o.step_sizes, "smallest and largest step");
}

struct SGDOptions {
  static constexpr const char* kName = "SGD";
  double lr = 1e-3;
  double momentum = 0;
  double dampening = 0;
  double weight_decay = 0;
  bool nesterov = false;
};
template <class Visitor>
void visit(SGDOptions& o, Visitor&& field) {
  field("lr", o.lr, "learning rate");
  field("momentum", o.momentum, "part of the last update that goes on");
  field("dampening", o.dampening, "part of the gradient kept from the momentum");
  field("weight_decay", o.weight_decay, "L2 penalty");
  field("nesterov", o.nesterov, "Nesterov momentum; needs momentum and no dampening");
}

using OptimizerOptions =
    std::variant<AdamWOptions, AdamOptions, SGDOptions, RMSpropOptions, AdagradOptions, AdadeltaOptions, AdamaxOptions,
                 NAdamOptions, RAdamOptions, ASGDOptions, RpropOptions, LBFGSOptions, LambOptions>;

// Throws core::ConfigError for what torch refuses.
void check(const OptimizerOptions& options);
std::string name(const OptimizerOptions& options);
double learning_rate(const OptimizerOptions& options);

}  // namespace perceive::train
