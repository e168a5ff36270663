// The names of a module's parameters and buffers, and moving values in by name.
#include "perceive/io/names.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "perceive/core/error.h"

namespace perceive::io {
namespace {

using Named = std::vector<std::pair<std::string, at::Tensor>>;

// Parameters, then buffers, in registration order, shared ones under every name.
Named all_names(const torch::nn::Module& module) {
  Named names;
  for (const auto& item : module.named_parameters()) names.emplace_back(item.key(), item.value());
  for (const auto& item : module.named_buffers()) names.emplace_back(item.key(), item.value());
  return names;
}

// A tensor of the module, all its names, and those of them that the file has.
struct Target {
  at::Tensor tensor;
  std::vector<std::string> names;
  std::vector<Tensors::const_iterator> given;
};

std::vector<Target> targets_of(const torch::nn::Module& module, const Tensors& tensors) {
  std::vector<Target> targets;
  std::unordered_map<const c10::TensorImpl*, size_t> index;
  for (const auto& [name, tensor] : all_names(module)) {
    const auto [place, is_new] = index.emplace(tensor.unsafeGetTensorImpl(), targets.size());
    if (is_new) targets.push_back({tensor, {}, {}});
    Target& target = targets[place->second];
    target.names.push_back(name);
    if (const auto found = tensors.find(name); found != tensors.end()) target.given.push_back(found);
  }
  return targets;
}

// NaN equals NaN here: the same bytes.
bool same_bytes(const at::Tensor& a, const at::Tensor& b) {
  if (a.scalar_type() != b.scalar_type()) return false;
  const auto x = a.detach().cpu().contiguous(), y = b.detach().cpu().contiguous();
  return x.nbytes() == y.nbytes() &&
         (x.nbytes() == 0 || std::memcmp(x.const_data_ptr(), y.const_data_ptr(), x.nbytes()) == 0);
}

// What stands against copying `value`, or nothing.
std::string objection(const at::Tensor& value, const at::Tensor& target) {
  if (value.sizes() != target.sizes()) {
    return fmt::format("expected [{}], found [{}]", fmt::join(target.sizes(), ", "), fmt::join(value.sizes(), ", "));
  }
  const auto from = value.scalar_type(), to = target.scalar_type();
  const bool counts = at::isIntegralType(to, /*includeBool=*/true);
  if (!c10::canCast(from, to) || (counts && !same_bytes(value.to(to).to(from), value))) {
    return fmt::format("expected {}, found {}, which it cannot hold", c10::toString(to), c10::toString(from));
  }
  return {};
}

std::string listed(const char* title, const std::vector<std::string>& items) {
  constexpr size_t kShown = 20;
  if (items.empty()) return {};
  const size_t shown = std::min(items.size(), kShown);
  std::string text = fmt::format("\n  {} ({}):", title, items.size());
  for (size_t i = 0; i < shown; ++i) text += "\n    " + items[i];
  if (shown < items.size()) text += fmt::format("\n    and {} more", items.size() - shown);
  return text;
}

}  // namespace

Tensors without_wrapper(Tensors tensors) {
  constexpr std::string_view kPrefix = "model.";
  const auto wrapped = [&](const auto& item) { return item.first.starts_with(kPrefix); };
  if (tensors.empty() || !std::all_of(tensors.begin(), tensors.end(), wrapped)) return tensors;
  Tensors inner;
  for (auto& [name, tensor] : tensors) inner.emplace(name.substr(kPrefix.size()), tensor);
  return inner;
}

Tensors named_tensors(const torch::nn::Module& module) {
  Tensors tensors;
  for (auto& [name, tensor] : all_names(module)) tensors.emplace(name, tensor);
  return tensors;
}

Tensors distinct_tensors(const torch::nn::Module& module) {
  Tensors tensors;
  for (const auto& target : targets_of(module, {})) tensors.emplace(target.names.front(), target.tensor);
  return tensors;
}

std::vector<at::Tensor> distinct_parameters(const torch::nn::Module& module) {
  std::vector<at::Tensor> parameters;
  std::unordered_set<const c10::TensorImpl*> seen;
  for (const auto& parameter : module.parameters()) {
    if (seen.insert(parameter.unsafeGetTensorImpl()).second) parameters.push_back(parameter);
  }
  return parameters;
}

std::vector<std::string> load_into(torch::nn::Module& module, const Tensors& tensors, const std::string& origin) {
  const auto targets = targets_of(module, tensors);
  std::vector<std::string> missing, unusable;
  std::unordered_set<std::string> expected;
  for (const auto& target : targets) {
    expected.insert(target.names.begin(), target.names.end());
    if (target.given.empty()) missing.push_back(fmt::format("{}", fmt::join(target.names, " = ")));
    for (const auto& given : target.given) {
      const auto& [name, value] = *given;
      std::string against = objection(value, target.tensor);
      if (against.empty() && !same_bytes(value, target.given.front()->second)) {
        against = "differs from " + target.given.front()->first + ", which is the same tensor";
      }
      if (!against.empty()) unusable.push_back(name + ": " + against);
    }
  }
  std::vector<std::string> unexpected;
  for (const auto& [name, value] : tensors) {
    if (!expected.contains(name)) unexpected.push_back(name);
  }
  if (!missing.empty() || !unexpected.empty() || !unusable.empty()) {
    throw core::FileError(origin + " does not fit the model: was it made with the same options?" +
                          listed("missing", missing) + listed("unexpected", unexpected) + listed("unusable", unusable));
  }

  const c10::NoGradGuard no_grad;
  std::map<std::string, int64_t> converted;
  for (const auto& target : targets) {
    const auto& value = target.given.front()->second;
    at::Tensor tensor = target.tensor;
    if (value.scalar_type() != tensor.scalar_type()) {
      ++converted[fmt::format("from {} to {}", c10::toString(value.scalar_type()),
                              c10::toString(tensor.scalar_type()))];
    }
    tensor.copy_(value);
  }
  std::vector<std::string> notices;
  for (const auto& [how, count] : converted) {
    notices.push_back(fmt::format("{}: {} tensor{} converted {}", origin, count, count == 1 ? "" : "s", how));
  }
  return notices;
}

}  // namespace perceive::io
