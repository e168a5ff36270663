// The rules of the optimizers that libtorch has not.
#include "perceive/train/own_optimizers.h"

#include <algorithm>
#include <cmath>

namespace perceive::train {
namespace {

at::Tensor with_penalty(const at::Tensor& gradient, const at::Tensor& w, double weight_decay) {
  return weight_decay == 0 ? gradient : gradient.add(w, weight_decay);
}

// NAdam and RAdam: the weights shrink by themselves, or the gradient has an L2 penalty.
at::Tensor decayed(at::Tensor& w, const at::Tensor& gradient, const auto& o) {
  if (!o.decoupled_weight_decay) return with_penalty(gradient, w, o.weight_decay);
  if (o.weight_decay != 0) w.mul_(1 - o.lr * o.weight_decay);
  return gradient;
}

// Running means of the gradient and of its square.
void update_means(auto& state, const at::Tensor& g, const auto& o) {
  state.exp_avg.lerp_(g, 1 - o.betas[0]);
  state.exp_avg_sq.mul_(o.betas[1]).addcmul_(g, g, 1 - o.betas[1]);
}

double power(double base, int64_t exponent) {
  return std::pow(base, static_cast<double>(exponent));
}

}  // namespace

void advance(OwnState<AdadeltaOptions>& state, at::Tensor& w, const at::Tensor& gradient, const AdadeltaOptions& o) {
  const auto g = with_penalty(gradient, w, o.weight_decay);
  state.square_avg.mul_(o.rho).addcmul_(g, g, 1 - o.rho);
  const auto delta = state.acc_delta.add(o.eps).sqrt_().div_(state.square_avg.add(o.eps).sqrt_()).mul_(g);
  state.acc_delta.mul_(o.rho).addcmul_(delta, delta, 1 - o.rho);
  w.add_(delta, -o.lr);
}

void advance(OwnState<AdamaxOptions>& state, at::Tensor& w, const at::Tensor& gradient, const AdamaxOptions& o) {
  const auto g = with_penalty(gradient, w, o.weight_decay);
  ++state.step;
  state.exp_avg.lerp_(g, 1 - o.betas[0]);
  at::maximum_out(state.exp_inf, state.exp_inf.mul_(o.betas[1]), g.abs().add_(o.eps));
  w.addcdiv_(state.exp_avg, state.exp_inf, -o.lr / (1 - power(o.betas[0], state.step)));
}

// Python's torch keeps eta and mu in float32, whatever the parameter has.
void advance(OwnState<ASGDOptions>& state, at::Tensor& w, const at::Tensor& gradient, const ASGDOptions& o) {
  const auto g = with_penalty(gradient, w, o.weight_decay);
  if (++state.step == 1) state.eta = static_cast<float>(o.lr);
  w.mul_(1 - o.lambd * state.eta).add_(g, -state.eta);
  if (state.mu == 1) {
    state.ax.copy_(w);
  } else {
    state.ax.add_(w.sub(state.ax).mul_(state.mu));
  }
  const auto step = static_cast<double>(state.step);
  state.eta = static_cast<float>(o.lr / std::pow(1 + o.lambd * o.lr * step, o.alpha));
  state.mu = static_cast<float>(1 / std::max(1.0, step - o.t0));
}

void advance(OwnState<LambOptions>& state, at::Tensor& w, const at::Tensor& gradient, const LambOptions& o) {
  constexpr double kLargestNorm = 10.0;
  ++state.step;
  state.exp_avg.mul_(o.betas[0]).add_(gradient, 1 - o.betas[0]);
  state.exp_avg_sq.mul_(o.betas[1]).addcmul_(gradient, gradient, 1 - o.betas[1]);
  auto change = state.exp_avg / (state.exp_avg_sq.sqrt() + o.eps);
  if (o.weight_decay != 0) change.add_(w, o.weight_decay);
  const double weight = std::min(w.norm().item<double>(), kLargestNorm), length = change.norm().item<double>();
  const double ratio = weight == 0 || length == 0 ? 1.0 : weight / length;
  w.add_(change, -o.lr * ratio);
}

void advance(OwnState<NAdamOptions>& state, at::Tensor& w, const at::Tensor& gradient, const NAdamOptions& o) {
  const auto g = decayed(w, gradient, o);
  ++state.step;
  const auto momentum = [&](int64_t step) {
    return o.betas[0] * (1 - 0.5 * std::pow(0.96, static_cast<double>(step) * o.momentum_decay));
  };
  const double mu = momentum(state.step), mu_next = momentum(state.step + 1);
  // Python's torch keeps the product in float32, whatever the parameter has.
  state.mu_product = static_cast<float>(state.mu_product) * static_cast<float>(mu);
  update_means(state, g, o);
  const auto denominator = state.exp_avg_sq.div(1 - power(o.betas[1], state.step)).sqrt_().add_(o.eps);
  w.addcdiv_(g, denominator, -o.lr * (1 - mu) / (1 - state.mu_product));
  w.addcdiv_(state.exp_avg, denominator, -o.lr * mu_next / (1 - state.mu_product * mu_next));
}

void advance(OwnState<RAdamOptions>& state, at::Tensor& w, const at::Tensor& gradient, const RAdamOptions& o) {
  const auto g = decayed(w, gradient, o);
  ++state.step;
  update_means(state, g, o);
  const double rest = 1 - power(o.betas[1], state.step);
  const auto change = (state.exp_avg / (1 - power(o.betas[0], state.step))).mul_(o.lr);
  // Lengths of the simple mean that the running mean of squares stands for: after all steps, and after these.
  const double longest = 2 / (1 - o.betas[1]) - 1;
  const double length = longest - 2 * static_cast<double>(state.step) * power(o.betas[1], state.step) / rest;
  if (length > 5) {  // long enough for a variance
    const double rectification =
        std::sqrt((length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length));
    change.mul_(state.exp_avg_sq.sqrt().add_(o.eps).reciprocal_().mul_(std::sqrt(rest))).mul_(rectification);
  }
  w.sub_(change);
}

void advance(OwnState<RpropOptions>& state, at::Tensor& w, const at::Tensor& gradient, const RpropOptions& o) {
  if (++state.step == 1) state.step_size.fill_(o.lr);
  const auto agreement = gradient.mul(state.prev);
  const auto turned = agreement.lt(0);
  const auto factor = at::ones_like(w).masked_fill_(agreement.gt(0), o.etas[1]).masked_fill_(turned, o.etas[0]);
  state.step_size.mul_(factor).clamp_(o.step_sizes[0], o.step_sizes[1]);
  // Where the sign has turned there is no step, and the next one counts as the first.
  state.prev.copy_(gradient.masked_fill(turned, 0));
  w.addcmul_(state.prev.sign(), state.step_size, -1);
}

}  // namespace perceive::train
