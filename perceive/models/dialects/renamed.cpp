// A tree of modules that holds names only.
#include "perceive/models/dialects/renamed.h"

#include <c10/util/Exception.h>

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
