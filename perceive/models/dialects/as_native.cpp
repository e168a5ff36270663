// A dialect's Perceiver as the native class.
#include "perceive/models/dialects/as_native.h"

#include <nlohmann/json.hpp>

#include "perceive/models/named_perceiver.h"

namespace perceive::models {

RunnableModel::Native as_native(const PerceiverImpl& model, bool first_zero_tokens) {
  NamedPerceiverOptions options;
  static_cast<PerceiverOptions&>(options) = model.options();
  RunnableModel::Native native;
  native.description = {{"class", "perceive.Perceiver"}, {"args", core::to_json(options)}};
  const auto parameters = model.named_parameters();
  for (const auto& item : parameters) {
    const bool zero_tokens = first_zero_tokens && item.key().starts_with("zero_tokens.");
    const auto& tensor = zero_tokens ? parameters["zero_tokens.0"] : item.value();
    native.tensors.emplace("model." + item.key(), tensor.detach());
  }
  return native;
}

}  // namespace perceive::models
