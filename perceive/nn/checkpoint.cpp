// Activation checkpointing as one autograd node.
#include "perceive/nn/checkpoint.h"

#include <ATen/core/ivalue.h>
#include <torch/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "perceive/nn/replay.h"

namespace perceive::nn {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// What the backward pass needs besides tensors; autograd keeps it for as long as the graph lives.
struct Recipe : torch::CustomClassHolder {
  Recipe(Segment segment, size_t inputs, at::Device device)
      : segment(std::move(segment)), inputs(inputs), device(device), random(device), autocast(device.type()) {}
  Segment segment;
  size_t inputs;
  at::Device device;
  RandomState random;
  AutocastState autocast;
};

struct CheckpointFunction : torch::autograd::Function<CheckpointFunction> {
  static at::Tensor forward(AutogradContext* context, const Segment& segment, int64_t inputs, at::TensorList tensors) {
    auto recipe = c10::make_intrusive<Recipe>(segment, inputs, tensors.front().device());
    const UncachedAutocast uncached(recipe->autocast, recipe->device.type());
    context->save_for_backward(tensors.vec());
    context->saved_data["recipe"] = c10::IValue::make_capsule(std::move(recipe));
    return segment(tensors.slice(0, inputs).vec());
  }

  static variable_list backward(AutogradContext* context, const variable_list& grad_outputs) {
    TORCH_CHECK(!at::GradMode::is_enabled(),
                "checkpoint: a second derivative through a checkpointed layer is not supported; turn activation "
                "checkpointing off");
    const auto capsule = context->saved_data["recipe"].toCapsule();
    const auto& recipe = static_cast<const Recipe&>(*capsule);
    auto tensors = context->get_saved_variables();
    const Redrawn redrawn(recipe.random, recipe.device);
    const UncachedAutocast uncached(recipe.autocast, recipe.device.type());

    const at::AutoGradMode record(true);
    variable_list wanted;
    std::vector<size_t> places;
    for (size_t i = 0; i < tensors.size(); ++i) {
      const bool needs_grad = tensors[i].requires_grad();
      if (i < recipe.inputs) tensors[i] = tensors[i].detach().requires_grad_(needs_grad);
      if (!needs_grad) continue;
      wanted.push_back(tensors[i]);
      places.push_back(i);
    }
    const auto output = recipe.segment({tensors.begin(), tensors.begin() + static_cast<int64_t>(recipe.inputs)});
    const auto found =
        torch::autograd::grad(variable_list{output}, wanted, {grad_outputs.front()}, /*retain_graph=*/false,
                              /*create_graph=*/false, /*allow_unused=*/true);
    variable_list grads(2 + tensors.size());  // none for the segment and the count
    for (size_t i = 0; i < places.size(); ++i) grads[2 + places[i]] = found[i];
    return grads;
  }
};

// What TiledFunction needs besides tensors.
struct TiledRecipe : torch::CustomClassHolder {
  TiledRecipe(TileSegment segment, std::vector<RowTile> tiles, int64_t along, at::DeviceType device)
      : segment(std::move(segment)), tiles(std::move(tiles)), along(along), autocast(device) {}
  TileSegment segment;
  std::vector<RowTile> tiles;
  int64_t along;
  AutocastState autocast;
};

struct TiledFunction : torch::autograd::Function<TiledFunction> {
  // `tensors`: x, then the inputs.
  static at::Tensor forward(AutogradContext* context, const TileSegment& segment, const std::vector<RowTile>& tiles,
                            int64_t along, at::TensorList tensors) {
    context->save_for_backward(tensors.vec());
    const auto device = tensors.front().device().type();
    auto recipe = c10::make_intrusive<TiledRecipe>(segment, tiles, along, device);
    const UncachedAutocast uncached(recipe->autocast, device);
    context->saved_data["recipe"] = c10::IValue::make_capsule(std::move(recipe));
    auto given = tensors.vec();
    std::vector<at::Tensor> parts;
    for (const auto& tile : tiles) {
      given.front() = tensors.front().narrow(1, tile.first, tile.rows);
      parts.push_back(segment(tile, given));
    }
    return at::cat(parts, along);
  }

  static variable_list backward(AutogradContext* context, const variable_list& grad_outputs) {
    TORCH_CHECK(!at::GradMode::is_enabled(), "checkpoint_tiles: a second derivative is not supported");
    const auto capsule = context->saved_data["recipe"].toCapsule();
    const auto& recipe = static_cast<const TiledRecipe&>(*capsule);
    const auto tensors = context->get_saved_variables();
    const UncachedAutocast uncached(recipe.autocast, tensors.front().device().type());

    variable_list grads(3 + tensors.size());  // none for the first three arguments
    for (size_t i = 0; i < tensors.size(); ++i) {
      if (tensors[i].requires_grad()) grads[3 + i] = at::zeros_like(tensors[i]);
    }
    int64_t first = 0;
    for (const auto& tile : recipe.tiles) {
      const at::AutoGradMode record(true);
      const auto of_tile = [&](const at::Tensor& tensor, size_t i) {
        return i == 0 ? tensor.narrow(1, tile.first, tile.rows) : tensor;
      };
      variable_list inputs, wanted, sums;
      for (size_t i = 0; i < tensors.size(); ++i) {
        const auto& sum = grads[3 + i];
        inputs.push_back(of_tile(tensors[i], i).detach());
        if (!sum.defined()) continue;
        wanted.push_back(inputs[i].requires_grad_());
        sums.push_back(of_tile(sum, i));
      }
      const auto output = recipe.segment(tile, inputs);
      const auto grad = grad_outputs.front().narrow(recipe.along, first, output.size(recipe.along));
      first += output.size(recipe.along);
      const auto found = torch::autograd::grad({output}, wanted, {grad}, /*retain_graph=*/false,
                                               /*create_graph=*/false, /*allow_unused=*/true);
      for (size_t i = 0; i < found.size(); ++i) {
        if (found[i].defined()) sums[i].add_(found[i]);
      }
    }
    return grads;
  }
};

}  // namespace

at::Tensor checkpoint(const Segment& segment, const std::vector<at::Tensor>& inputs,
                      const std::vector<at::Tensor>& parameters) {
  std::vector<at::Tensor> tensors = inputs;
  tensors.insert(tensors.end(), parameters.begin(), parameters.end());
  const bool recorded = at::GradMode::is_enabled() &&
                        std::any_of(tensors.begin(), tensors.end(), [](const auto& t) { return t.requires_grad(); });
  if (!recorded) return segment(inputs);
  return CheckpointFunction::apply(segment, static_cast<int64_t>(inputs.size()), at::TensorList(tensors));
}

at::Tensor checkpoint_tiles(const TileSegment& segment, const std::vector<RowTile>& tiles, int64_t along,
                            const at::Tensor& x, const std::vector<at::Tensor>& inputs) {
  std::vector<at::Tensor> tensors{x};
  tensors.insert(tensors.end(), inputs.begin(), inputs.end());
  return TiledFunction::apply(segment, tiles, along, at::TensorList(tensors));
}

}  // namespace perceive::nn
