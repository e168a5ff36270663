// All layers as one autograd node.
#include "perceive/nn/reversible.h"

#include <ATen/ATen.h>
#include <ATen/core/ivalue.h>
#include <torch/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "perceive/nn/replay.h"

namespace perceive::nn {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

at::Tensor added(const at::Tensor& to, const ReversiblePart& part, const at::Tensor& x) {
  const auto sum = to + part.map(x);
  TORCH_CHECK_VALUE(sum.sizes() == x.sizes() && to.sizes() == x.sizes(), "reversible: both streams and what a layer ",
                    "adds must have the same sizes; got ", to.sizes(), ", and ", sum.sizes(), " from ", x.sizes());
  return sum;
}

// What the backward pass needs besides tensors; autograd keeps it for as long as the graph lives.
struct Recipe : torch::CustomClassHolder {
  Recipe(std::vector<ReversibleLayer> layers, at::Device device)
      : layers(std::move(layers)), device(device), autocast(device.type()) {}
  std::vector<ReversibleLayer> layers;
  at::Device device;
  AutocastState autocast;
  std::vector<RandomState> random;  // before f and g of each layer
};

struct Stream {
  at::Tensor value, grad;
};

// Takes the part's addition to `changed` back, whose gradient reaches `read` and the parameters. `grads` has room for
// those; their tensors begin at `parameters`.
void undo(const ReversiblePart& part, const RandomState& random, at::Device device, Stream& read, Stream& changed,
          const at::Tensor* parameters, at::Tensor* grads) {
  const Redrawn redrawn(random, device);
  variable_list wanted{read.value.detach().requires_grad_()};
  std::vector<size_t> places;
  for (size_t i = 0; i < part.parameters.size(); ++i) {
    if (!parameters[i].requires_grad()) continue;
    wanted.push_back(parameters[i]);
    places.push_back(i);
  }
  at::Tensor addition;
  {
    const at::AutoGradMode record(true);
    addition = part.map(wanted.front());
  }
  variable_list found(wanted.size());
  if (addition.requires_grad()) {
    found = torch::autograd::grad({addition}, wanted, {changed.grad.to(addition.scalar_type())}, /*retain_graph=*/false,
                                  /*create_graph=*/false, /*allow_unused=*/true);
  }
  changed.value = changed.value - addition.detach();
  if (found.front().defined()) read.grad = read.grad + found.front();
  for (size_t i = 0; i < places.size(); ++i) grads[places[i]] = found[i + 1];
}

struct ReversibleFunction : torch::autograd::Function<ReversibleFunction> {
  // `tensors`: both streams, then the parameters of f and g of each layer.
  static variable_list forward(AutogradContext* context, const std::vector<ReversibleLayer>& layers,
                               at::TensorList tensors) {
    auto recipe = c10::make_intrusive<Recipe>(layers, tensors.front().device());
    const UncachedAutocast uncached(recipe->autocast, recipe->device.type());
    auto y1 = tensors[0], y2 = tensors[1];
    for (const auto& layer : layers) {
      recipe->random.emplace_back(recipe->device);
      y1 = added(y1, layer.f, y2);
      recipe->random.emplace_back(recipe->device);
      y2 = added(y2, layer.g, y1);
    }
    variable_list saved{y1, y2};
    saved.insert(saved.end(), tensors.begin() + 2, tensors.end());
    context->save_for_backward(saved);
    context->saved_data["recipe"] = c10::IValue::make_capsule(std::move(recipe));
    return {y1, y2};
  }

  static variable_list backward(AutogradContext* context, const variable_list& grad_outputs) {
    TORCH_CHECK(!at::GradMode::is_enabled(), "reversible: a second derivative is not supported");
    const auto capsule = context->saved_data["recipe"].toCapsule();
    const auto& recipe = static_cast<const Recipe&>(*capsule);
    const auto tensors = context->get_saved_variables();
    const UncachedAutocast uncached(recipe.autocast, recipe.device.type());

    Stream first{tensors[0].detach(), grad_outputs[0]}, second{tensors[1].detach(), grad_outputs[1]};
    variable_list grads(1 + tensors.size());  // none for the layers
    size_t end = tensors.size();
    for (size_t i = recipe.layers.size(); i-- > 0;) {
      const auto& [f, g] = recipe.layers[i];
      end -= g.parameters.size();
      undo(g, recipe.random[2 * i + 1], recipe.device, first, second, tensors.data() + end, grads.data() + 1 + end);
      end -= f.parameters.size();
      undo(f, recipe.random[2 * i], recipe.device, second, first, tensors.data() + end, grads.data() + 1 + end);
    }
    grads[1] = first.grad;
    grads[2] = second.grad;
    return grads;
  }
};

}  // namespace

std::pair<at::Tensor, at::Tensor> reversible(const std::vector<ReversibleLayer>& layers, const at::Tensor& x1,
                                             const at::Tensor& x2) {
  variable_list tensors{x1, x2};
  for (const auto& layer : layers) {
    for (const auto* part : {&layer.f, &layer.g}) {
      tensors.insert(tensors.end(), part->parameters.begin(), part->parameters.end());
    }
  }
  const bool recorded = at::GradMode::is_enabled() && !layers.empty() &&
                        std::any_of(tensors.begin(), tensors.end(), [](const auto& t) { return t.requires_grad(); });
  if (recorded) {
    const auto streams = ReversibleFunction::apply(layers, at::TensorList(tensors));
    return {streams[0], streams[1]};
  }
  auto y1 = x1, y2 = x2;
  for (const auto& layer : layers) {
    y1 = added(y1, layer.f, y2);
    y2 = added(y2, layer.g, y1);
  }
  return {y1, y2};
}

}  // namespace perceive::nn
