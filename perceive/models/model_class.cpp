// Tensors by the names of forward()'s arguments.
#include "perceive/models/model_class.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "perceive/core/error.h"
#include "perceive/core/text.h"
#include "perceive/io/names.h"

namespace perceive::models {
namespace {

struct Name {
  std::string argument;
  std::optional<int64_t> index;
};

Name split(const std::string& name) {
  const size_t dot = name.rfind('.');
  if (dot == std::string::npos) return {name, std::nullopt};
  int64_t index = 0;
  const auto [end, error] = std::from_chars(name.data() + dot + 1, name.data() + name.size(), index);
  if (error != std::errc() || end != name.data() + name.size() || index < 0) return {name, std::nullopt};
  return {name.substr(0, dot), index};
}

at::Tensor as_mask(const std::string& argument, const at::Tensor& tensor) {
  if (!tensor.defined() || tensor.scalar_type() == at::kBool) return tensor;
  if (at::isIntegralType(tensor.scalar_type(), false)) return tensor.ne(0);
  throw core::DataError(fmt::format("{}: expected a mask of dtype bool, true where an element counts; got {}", argument,
                                    c10::toString(tensor.scalar_type())));
}

}  // namespace

TensorArguments::TensorArguments(const io::Tensors& tensors, const std::vector<TensorArgument>& arguments,
                                 const std::string& origin) {
  std::vector<std::string> names;
  for (const auto& argument : arguments) names.push_back(argument.name);
  for (const auto& [name, tensor] : tensors) {
    auto [argument, index] = split(name);
    auto known = std::find(names.begin(), names.end(), argument);
    if (known == names.end() && argument == "x") known = names.begin();
    if (known == names.end()) {
      const auto near = core::nearest(argument, names);
      throw core::DataError(fmt::format("{}: there is no argument {}{}; forward() takes {}", origin, argument,
                                        near.empty() ? "" : ", did you mean " + near + "?", core::join(names)));
    }
    const auto form = arguments[static_cast<size_t>(known - names.begin())].form;
    using Form = TensorArgument::Form;
    if (index ? form == Form::one : form == Form::list) {
      throw core::DataError(fmt::format("{}: {} {}", origin, *known,
                                        index
                                            ? "is one tensor; leave out the number behind the dot"
                                            : "is a list of tensors; name them " + *known + ".0, " + *known + ".1, …"));
    }
    if (!given_[*known].emplace(index.value_or(0), tensor).second || (given_[*known].size() > 1 && !index)) {
      throw core::DataError(fmt::format("{}: {} is given twice", origin, *known));
    }
    is_list_[*known] = index.has_value();
  }
  for (const auto& argument : arguments) {
    if (argument.required && !given_.count(argument.name)) {
      throw core::DataError(fmt::format("{}: the argument {} is missing ({})", origin, argument.name, argument.help));
    }
  }
}

bool TensorArguments::is_list(const std::string& argument) const {
  const auto found = is_list_.find(argument);
  return found != is_list_.end() && found->second;
}

at::Tensor TensorArguments::one(const std::string& argument) const {
  const auto found = given_.find(argument);
  return found == given_.end() ? at::Tensor() : found->second.begin()->second;
}

std::vector<at::Tensor> TensorArguments::list(const std::string& argument) const {
  std::vector<at::Tensor> tensors;
  const auto found = given_.find(argument);
  if (found == given_.end()) return tensors;
  for (const auto& [index, tensor] : found->second) {
    if (index != static_cast<int64_t>(tensors.size())) {
      throw core::DataError(
          fmt::format("{}.{} is missing, though {}.{} is there", argument, tensors.size(), argument, index));
    }
    tensors.push_back(tensor);
  }
  return tensors;
}

at::Tensor TensorArguments::mask(const std::string& argument) const {
  return as_mask(argument, one(argument));
}

std::vector<at::Tensor> TensorArguments::masks(const std::string& argument) const {
  std::vector<at::Tensor> tensors;
  const auto found = given_.find(argument);
  if (found == given_.end()) return tensors;
  constexpr int64_t kMost = 4096;  // far more than any model reads inputs
  for (const auto& [index, tensor] : found->second) {
    if (index >= kMost) throw core::DataError(fmt::format("{}.{}: there is no such input", argument, index));
    tensors.resize(static_cast<size_t>(index) + 1);
    tensors.back() = as_mask(argument, tensor);
  }
  return tensors;
}

void append(Outputs& outputs, const std::string& name, const std::vector<at::Tensor>& list) {
  for (size_t i = 0; i < list.size(); ++i) outputs.emplace_back(fmt::format("{}.{}", name, i), list[i]);
}

std::vector<std::string> RunnableModel::load(io::Tensors tensors, const std::string& origin) {
  return io::load_into(module(), tensors, origin);
}

io::Tensors RunnableModel::state_dict() {
  return io::named_tensors(module());
}

}  // namespace perceive::models
