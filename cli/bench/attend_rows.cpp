// attend on given keys and values, and its peers.
#include <ATen/ATen.h>
#include <torch/autograd.h>

#include <memory>

#include "cli/bench/attention.h"
#include "cli/bench/formula.h"
#include "cli/bench/reference.h"

namespace perceive::cli::bench {
namespace {

struct Given {
  at::Tensor q, k, v, grad_out;
};

at::Tensor ours(const Given& g) {
  return ops::attend(g.q, g.k, g.v).out;
}

// What a forward function's backward pass is: of leaves that want gradients, the graph kept for the next call.
Contender backward_of(const std::string& name, const Given& given, at::Tensor (*forward)(const Given&),
                      const std::string& objection = "") {
  const auto prepare = [given, forward]() -> Call {
    const auto leaf = [](const at::Tensor& t) { return t.detach().requires_grad_(); };
    const Given leaves{leaf(given.q), leaf(given.k), leaf(given.v), given.grad_out};
    const auto out = forward(leaves);
    return [leaves, out] {
      return torch::autograd::grad({out}, {leaves.q, leaves.k, leaves.v}, {leaves.grad_out}, /*retain_graph=*/true)[0];
    };
  };
  return {name, prepare, objection};
}

Contender forward_of(const std::string& name, const Given& given, at::Tensor (*forward)(const Given&),
                     const std::string& objection = "") {
  return {name, [given, forward]() -> Call { return [given, forward] { return forward(given); }; }, objection};
}

Contender sdpa_backward(const Given& g) {
  return {"sdpa",
          [g]() -> Call {
            const auto [out, lse] = at::_scaled_dot_product_flash_attention_for_cpu(g.q, g.k, g.v);
            return [g, out = out, lse = lse] {
              return std::get<0>(at::_scaled_dot_product_flash_attention_for_cpu_backward(
                  g.grad_out, g.q, g.k, g.v, out, lse, /*dropout_p=*/0.0, /*is_causal=*/false));
            };
          },
          ""};
}

}  // namespace

std::vector<Row> attend_rows(const Sizes& sizes, at::ScalarType dtype) {
  const auto random = [&](int64_t length) {
    return at::randn({sizes.batch, sizes.heads, length, sizes.head_dim}, dtype);
  };
  const Given given{random(sizes.latents), random(sizes.keys), random(sizes.keys), random(sizes.latents)};
  const auto reference = std::make_shared<Reference>(
      given.q, given.grad_out, sizes.keys, [given](int64_t item, int64_t head, int64_t first, int64_t count) {
        const auto block = [&](const at::Tensor& t) { return t[item][head].narrow(0, first, count).to(at::kDouble); };
        return std::pair{block(given.k), block(given.v)};
      });
  const double products = static_cast<double>(sizes.batch * sizes.heads) * static_cast<double>(sizes.latents) *
                          static_cast<double>(sizes.keys) * static_cast<double>(sizes.head_dim);
  const auto too_large = formula_objection(sizes, static_cast<int64_t>(given.q.element_size()));
  const auto plain = [](const Given& g) { return formula(g.q, g.k, g.v); };
  const auto sdpa = [](const Given& g) {
    return std::get<0>(at::_scaled_dot_product_flash_attention_for_cpu(g.q, g.k, g.v));
  };
  return {
      {.name = "attend forward",
       .flops = 4 * products,
       .contenders = {forward_of("perceive", given, ours), forward_of("sdpa", given, sdpa),
                      forward_of("formula", given, plain, too_large)},
       .error = [reference](const at::Tensor& out) { return reference->error_of_out(out); }},
      {.name = "attend backward",
       .flops = 10 * products,
       .contenders = {backward_of("perceive", given, ours), sdpa_backward(given),
                      backward_of("formula", given, plain, too_large)},
       .error = [reference](const at::Tensor& grad_q) { return reference->error_of_grad_q(grad_q); }},
  };
}

}  // namespace perceive::cli::bench
