// attend_source on a source, and its peers.
#include <ATen/ATen.h>
#include <fmt/format.h>
#include <torch/autograd.h>

#include <memory>

#include "cli/bench/attention.h"
#include "cli/bench/formula.h"
#include "cli/bench/source_inputs.h"
#include "perceive/core/memory.h"
#include "perceive/ops/plan.h"

namespace perceive::cli::bench {
namespace {

using Forward = std::function<at::Tensor(const SourceInputs&)>;

enum class Pass { forward, backward, step };  // a step: forward and backward

// One peer's forward function, and why it stays out.
struct Way {
  std::string name;
  Forward forward;
  std::string objection;
};

std::vector<at::Tensor> gradients(const at::Tensor& out, const SourceInputs& leaves, bool of_values, bool keep) {
  auto wanted = leaves_of(leaves);
  // The path whose graph does not hold one of these two reads the other.
  if (of_values) {
    wanted.push_back(leaves.source.values);
    if (leaves.expanded.defined()) wanted.push_back(leaves.expanded);
  }
  return torch::autograd::grad({out}, wanted, {leaves.grad_out}, keep, /*create_graph=*/false, /*allow_unused=*/true);
}

Contender contender(const Way& way, const SourceInputs& inputs, Pass pass, bool of_values = false) {
  const auto prepare = [=, forward = way.forward]() -> Call {
    if (pass == Pass::forward) return [=] { return forward(inputs); };
    const auto leaves = with_gradients(inputs, of_values);
    if (pass == Pass::step) return [=] { return gradients(forward(leaves), leaves, of_values, false)[0]; };
    const auto out = forward(leaves);
    return [=] { return gradients(out, leaves, of_values, true)[0]; };
  };
  return {way.name, prepare, way.objection};
}

Forward by_plan(ops::SourcePlan plan) {
  return
      [plan](const SourceInputs& in) { return ops::attend_source(in.q, in.source, in.projection, {.plan = plan}).out; };
}

// Why libtorch's own path cannot hold its normalised inputs, keys, values and their gradients, or empty.
std::string composed_objection(const Sizes& sizes, int64_t element_bytes) {
  const double keys = static_cast<double>(sizes.batch) * static_cast<double>(sizes.keys);
  const double bytes =
      keys * static_cast<double>(element_bytes) *
      (4.0 * static_cast<double>(sizes.width()) + 4.0 * static_cast<double>(sizes.heads * sizes.head_dim));
  if (bytes <= core::available_memory()) return "";
  return fmt::format("it would need {} of memory, {} are free", core::readable_bytes(bytes),
                     core::readable_bytes(core::available_memory()));
}

// Of one pass, or of both passes of a step.
std::string plan_names(const SourceInputs& inputs, ops::SourcePlan plan, Pass pass, bool of_values = false) {
  const auto leaves = with_gradients(inputs, of_values);
  const auto of_pass = [&](bool backward) {
    return std::string(
        ops::name_of(ops::planned(leaves.q, leaves.source, leaves.projection, {.plan = plan}, backward)));
  };
  if (pass != Pass::step) return of_pass(pass == Pass::backward);
  return of_pass(false) == of_pass(true) ? of_pass(false) : of_pass(false) + ", " + of_pass(true);
}

// The other plans that can do the work of a forward pass, as peers.
std::vector<Way> other_plans(const Sizes& sizes, const std::string& ours) {
  std::vector<Way> ways;
  for (const auto plan : {ops::SourcePlan::separate, ops::SourcePlan::absorb_keys, ops::SourcePlan::absorb_values,
                          ops::SourcePlan::absorb, ops::SourcePlan::separable}) {
    const std::string name(ops::name_of(plan));
    if (name != ours && ops::objection(plan, work_of(sizes)).empty())
      ways.push_back({"plan:" + name, by_plan(plan), ""});
  }
  return ways;
}

}  // namespace

std::vector<Row> attend_source_rows(const Sizes& sizes, at::ScalarType dtype, ops::SourcePlan plan) {
  const auto bytes = static_cast<int64_t>(at::elementSize(dtype));
  const auto no_composed = composed_objection(sizes, bytes);
  const auto inputs = source_inputs(sizes, dtype, no_composed.empty());
  const auto no_formula = no_composed.empty() ? formula_objection(sizes, bytes) : no_composed;
  const auto sdpa = [](const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
    return at::scaled_dot_product_attention(q, k, v);
  };
  const std::vector<Way> ways = {
      {"perceive", by_plan(plan), ""},
      {"composed", [sdpa](const SourceInputs& in) { return composed(in, sdpa); }, no_composed},
      {"formula", [](const SourceInputs& in) { return composed(in, formula); }, no_formula}};
  const auto reference = std::make_shared<Reference>(inputs.q, inputs.grad_out, sizes.keys, keys_and_values(inputs));

  const double a_row =
      static_cast<double>(sizes.batch * sizes.keys) * static_cast<double>(sizes.heads * sizes.head_dim);
  const double pairs = a_row * static_cast<double>(sizes.latents);
  const double projections = 4 * a_row * static_cast<double>(sizes.width());  // of keys and values
  const auto row = [&](const std::string& name, Pass pass, double flops, bool of_values = false) {
    Row result{.name = "attend_source " + name, .plan = plan_names(inputs, plan, pass, of_values), .flops = flops};
    for (const auto& way : ways) result.contenders.push_back(contender(way, inputs, pass, of_values));
    result.error = [reference, pass](const at::Tensor& found) {
      return pass == Pass::forward ? reference->error_of_out(found) : reference->error_of_grad_q(found);
    };
    return result;
  };
  const double forward = 4 * pairs + projections, backward = 10 * pairs + 2 * projections;
  std::vector<Row> rows = {row("forward", Pass::forward, forward), row("backward", Pass::backward, backward),
                           row("step", Pass::step, forward + backward),
                           row("backward with values", Pass::backward, backward + projections, true)};
  if (plan == ops::SourcePlan::automatic) {
    for (const auto& way : other_plans(sizes, rows[0].plan)) {
      rows[0].contenders.push_back(contender(way, inputs, Pass::forward));
    }
  }
  return rows;
}

}  // namespace perceive::cli::bench
