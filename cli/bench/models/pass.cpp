// A model from its description, and the three kinds of passes.
#include "cli/bench/models/pass.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <filesystem>

#include "perceive/core/error.h"
#include "perceive/io/files.h"

namespace perceive::cli::bench {
namespace {

namespace fs = std::filesystem;

models::LoadedModel load(const Workload& work, const std::optional<std::string>& file) {
  if (!file) return models::load_model(work.description, work.origin);
  const auto weights = io::load_tensors(*file);
  return models::load_model(work.description, work.origin, &weights, *file);
}

io::Tensors inputs_of(const Workload& work, const std::optional<std::string>& file, const models::LoadedModel& loaded) {
  if (!file) return {{work.input, at::randn(work.sizes)}};
  auto inputs = io::load_tensors(*file);
  if (inputs.empty()) throw core::DataError(*file + ": expected the model's inputs, got no tensor");
  for (auto& [name, tensor] : inputs) {
    if (at::isFloatingType(tensor.scalar_type())) tensor = tensor.to(loaded.dtype.value_or(at::kFloat));
  }
  return inputs;
}

void save(const fs::path& folder, const Workload& work, models::LoadedModel& loaded, const io::Tensors& inputs) {
  io::make_folders(folder);
  io::write_file(folder / "model.json", work.description.dump(2) + "\n");
  io::save_tensors(folder / "weights.safetensors", loaded.model->state_dict());
  io::save_tensors(folder / "inputs.safetensors", inputs);
}

// Of everything that an output tells: the gradients of all of it are wanted.
at::Tensor mean_of(const models::Outputs& outputs) {
  at::Tensor sum;
  for (const auto& [name, tensor] : outputs) {
    if (!tensor.requires_grad()) continue;
    sum = sum.defined() ? sum + tensor.mean() : tensor.mean();
  }
  if (!sum.defined()) throw core::ConfigError("the model gives no output with a gradient; only --pass=forward serves");
  return sum;
}

}  // namespace

ModelPass::ModelPass(const ModelOptions& options) : pass_(options.pass) {
  const auto work = workload_of(options);
  loaded_ = load(work, options.weights);
  inputs_ = inputs_of(work, options.inputs, loaded_);
  if (options.save) save(*options.save, work, loaded_, inputs_);
  arguments_ = std::make_unique<models::TensorArguments>(inputs_, loaded_.model->tensor_arguments(),
                                                         options.inputs.value_or(work.origin));
  if (pass_ == Pass::forward) return;
  auto leaves = loaded_.model->module().parameters();
  for (auto& [name, input] : inputs_) {
    if (options.input_gradients && at::isFloatingType(input.scalar_type())) leaves.push_back(input.requires_grad_());
  }
  // Gradients have their memory beforehand, so that the first pass is as the later ones.
  for (auto& leaf : leaves) {
    if (leaf.requires_grad()) leaf.mutable_grad() = at::zeros_like(leaf);
  }
  if (pass_ == Pass::training_step) {
    optimizer_ = std::make_unique<train::Optimizer>(train::AdamWOptions{}, loaded_.model->module());
  }
}

io::Tensors ModelPass::run() {
  const c10::AutoGradMode with_gradients(pass_ != Pass::forward);
  if (optimizer_) optimizer_->zero_grad();
  const auto outputs = loaded_.model->forward(*arguments_);
  if (pass_ != Pass::forward) mean_of(outputs).backward();
  if (optimizer_) optimizer_->step();
  io::Tensors tensors;
  for (const auto& [name, tensor] : outputs) tensors.emplace(name, tensor.detach());
  return tensors;
}

int64_t ModelPass::parameters() const {
  int64_t count = 0;
  for (const auto& parameter : loaded_.model->module().parameters()) count += parameter.numel();
  return count;
}

int64_t ModelPass::items() const {
  return inputs_.begin()->second.size(0);
}

}  // namespace perceive::cli::bench
