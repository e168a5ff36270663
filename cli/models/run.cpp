// `perceive run`.
#include "cli/models/run.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <torch/csrc/autograd/autograd.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "cli/models/attention_picture.h"
#include "cli/models/check.h"
#include "cli/models/description.h"
#include "perceive/core/config.h"
#include "perceive/core/log.h"
#include "perceive/core/terminal.h"
#include "perceive/io/files.h"
#include "perceive/models/catalog.h"

namespace perceive::cli {
namespace {

namespace fs = std::filesystem;

ModelRunOptions read_options(const std::vector<std::string>& arguments) {
  ModelRunOptions options;
  core::assign(options, core::read_arguments(arguments));
  if (options.model.empty())
    throw core::ConfigError("--model is missing: a JSON file with a model's class and arguments");
  if (!options.inputs) throw core::ConfigError("--inputs is missing: a safetensors file of forward()'s arguments");
  if (!options.outputs && !options.grads && !options.check && !options.attention) {
    throw core::ConfigError("nothing would be left of the run: give --outputs, --grads, --check or --attention");
  }
  if (options.grads && !options.cotangents) {
    throw core::ConfigError("--grads needs --cotangents: a tensor for each output, which the gradients start from");
  }
  if (options.cotangents && !options.grads && !options.check) {
    throw core::ConfigError("--cotangents: the gradients go nowhere; give --grads or --check");
  }
  for (const auto& file : {options.outputs, options.grads, options.attention}) {
    if (file) io::check_writable(fs::path(*file).has_parent_path() ? fs::path(*file).parent_path() : fs::path("."));
  }
  return options;
}

// In `dtype`; leaves that ask for gradients, where `grads` is set.
void prepare(io::Tensors& inputs, at::ScalarType dtype, bool grads) {
  for (auto& [name, tensor] : inputs) {
    if (!at::isFloatingType(tensor.scalar_type())) continue;
    tensor = tensor.to(dtype).detach();
    tensor.set_requires_grad(grads);
  }
}

io::Tensors by_name(const models::Outputs& outputs) {
  io::Tensors tensors;
  for (const auto& [name, tensor] : outputs) tensors.emplace(name, tensor.detach());
  return tensors;
}

// The vector-Jacobian product for what `outputs` was computed from; without entries where there is no gradient.
io::Tensors gradients(const models::Outputs& outputs, const std::string& file, const io::Tensors& inputs,
                      const torch::nn::Module& module) {
  auto cotangents = io::load_tensors(file);
  torch::autograd::variable_list roots, starts, leaves;
  for (const auto& [name, tensor] : outputs) {
    const auto found = cotangents.find(name);
    if (!at::isFloatingType(tensor.scalar_type())) continue;
    if (found == cotangents.end())
      throw core::DataError(fmt::format("{}: there is no tensor for the output {}", file, name));
    if (found->second.sizes() != tensor.sizes()) {
      throw core::DataError(fmt::format("{}: {}: expected the output's shape {}, got {}", file, name,
                                        shape_text(tensor.sizes()), shape_text(found->second.sizes())));
    }
    if (tensor.requires_grad()) {
      roots.push_back(tensor);
      starts.push_back(found->second.to(tensor.scalar_type()));
    }
    cotangents.erase(found);
  }
  if (!cotangents.empty()) {
    throw core::DataError(fmt::format("{}: there is no output {}", file, cotangents.begin()->first));
  }
  std::vector<std::string> names;
  for (const auto& [name, tensor] : inputs) {
    if (!tensor.requires_grad()) continue;
    names.push_back("inputs." + name);
    leaves.push_back(tensor);
  }
  std::set<const void*> seen;  // a shared parameter under its first name only
  for (const auto& item : module.named_parameters()) {
    if (!item.value().requires_grad() || !seen.insert(item.value().unsafeGetTensorImpl()).second) continue;
    names.push_back("weights." + item.key());
    leaves.push_back(item.value());
  }
  io::Tensors result;
  if (roots.empty() || leaves.empty()) return result;
  const auto grads = torch::autograd::grad(roots, leaves, starts, /*retain_graph=*/false, /*create_graph=*/false,
                                           /*allow_unused=*/true);
  for (size_t i = 0; i < grads.size(); ++i) {
    if (grads[i].defined()) result.emplace(names[i], grads[i]);
  }
  return result;
}

models::Outputs forward(models::RunnableModel& model, const io::Tensors& inputs, const std::string& file) {
  const models::TensorArguments arguments(inputs, model.tensor_arguments(), file);
  try {
    return model.forward(arguments);
  } catch (const core::DataError& error) {
    throw core::DataError(file + ": " + error.what());
  } catch (const c10::ValueError& error) {
    throw core::DataError(file + ": " + error.what_without_backtrace());
  } catch (const c10::IndexError& error) {
    throw core::DataError(file + ": " + error.what_without_backtrace());
  }
}

}  // namespace

core::ExitCode run_model(const std::vector<std::string>& arguments) {
  const auto options = read_options(arguments);
  auto [description, weights_file] = describe_model(options.model, options.weights);
  const auto weights = io::load_tensors(weights_file);
  auto loaded = models::load_model(description, options.model, &weights, weights_file);
  for (const auto& notice : loaded.notices) core::log_info(notice);
  auto& module = loaded.model->module();

  auto inputs = io::load_tensors(*options.inputs);
  // The weights' precision; the inputs' own for a model that has none.
  const auto dtype = loaded.dtype ? *loaded.dtype : io::precision(inputs).value_or(at::kFloat);
  const bool wants_grads = options.cotangents.has_value();
  prepare(inputs, dtype, wants_grads);
  const c10::AutoGradMode grad_mode(wants_grads);
  const auto outputs = forward(*loaded.model, inputs, *options.inputs);
  auto results = by_name(outputs);
  if (options.outputs) io::save_tensors(*options.outputs, results);
  if (options.attention) {
    draw_attention_weights(outputs, "Attention of " + loaded.model_class->name, *options.attention);
  }
  if (wants_grads) {
    const auto grads = gradients(outputs, *options.cotangents, inputs, module);
    if (options.grads) io::save_tensors(*options.grads, grads);
    results.insert(grads.begin(), grads.end());
  }
  if (!options.check) return core::ExitCode::ok;
  const double base = dtype == at::kDouble ? 1e-10 : 1e-5;
  const auto report = check_tensors(
      results, io::load_tensors(*options.check),
      {options.rtol.value_or(base), options.atol.value_or(base), options.rtol || options.atol ? 1.0 : 10.0});
  core::write_all(1, report.text);
  return report.passed ? core::ExitCode::ok : core::ExitCode::failure;
}

}  // namespace perceive::cli
