// A tree of modules that holds names only.
#include "perceive/models/dialects/renamed.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <set>

namespace perceive::models {
namespace {

// The module that `dotted` lies in, made where it is not there yet; `dotted` is left with its last part.
torch::nn::Module& parent(torch::nn::Module& root, std::string& dotted) {
  auto* module = &root;
  for (size_t dot; (dot = dotted.find('.')) != std::string::npos; dotted.erase(0, dot + 1)) {
    const auto part = dotted.substr(0, dot);
    const auto children = module->named_children();
    const auto* child = children.find(part);
    module = child ? child->get() : module->register_module(part, std::make_shared<torch::nn::Module>()).get();
  }
  return *module;
}

}  // namespace

NameList::NameList(const torch::nn::Module& model) {
  for (const auto& item : model.named_parameters()) all_.push_back(item.key());
}

void NameList::add(const std::string& ours, const std::string& theirs, const Prefixes& within) {
  const auto every = [&](const std::string& our_part, const std::string& their_part) {
    const auto prefix = ours + our_part;
    for (const auto& name : all_) {
      if (name.starts_with(prefix)) names_.push_back({theirs + their_part + name.substr(prefix.size()), name});
    }
  };
  if (within.empty()) every("", "");
  for (const auto& [our_part, their_part] : within) every(our_part, their_part);
}

bool NameList::has(const std::string& ours) const {
  return std::any_of(all_.begin(), all_.end(), [&](const auto& name) { return name.starts_with(ours); });
}

Renamed::Renamed(std::shared_ptr<torch::nn::Module> model, const std::vector<Name>& names) : model_(std::move(model)) {
  const auto parameters = model_->named_parameters();
  std::set<std::string> named;
  for (const auto& [theirs, ours] : names) {
    const auto* parameter = parameters.find(ours);
    TORCH_CHECK(parameter, "Renamed: the model has no parameter ", ours, " to call ", theirs);
    auto name = theirs;
    auto& module = parent(*this, name);
    module.register_parameter(name, *parameter, parameter->requires_grad());
    named.insert(ours);
  }
  for (const auto& item : parameters) TORCH_CHECK(named.count(item.key()), "Renamed: no name for ", item.key());
}

void Renamed::train(bool on) {
  Module::train(on);
  model_->train(on);
}

}  // namespace perceive::models
