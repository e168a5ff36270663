// A Perceiver whose inputs have names.
#include "perceive/models/named_perceiver.h"

#include <c10/util/Exception.h>
#include <c10/util/StringUtil.h>

#include <algorithm>

#include "perceive/core/error.h"
#include "perceive/core/text.h"

namespace perceive::models {
namespace {

void check_name(const std::string& name, const std::vector<std::string>& before) {
  const bool plain = !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  });
  if (!plain) {
    throw core::ConfigError("inputs: a name must be of letters, digits and _; got " + core::in_quotes(name));
  }
  if (std::find(before.begin(), before.end(), name) != before.end()) {
    throw core::ConfigError("inputs: two of them are called " + name);
  }
}

// Indices into `names`, one a reading.
std::vector<size_t> resolve_reads(const NamedPerceiverOptions& options, const std::vector<std::string>& names) {
  const auto readings = static_cast<size_t>(reading_count(options));
  std::vector<size_t> reads;
  if (options.reads.empty()) {
    if (readings < names.size()) {
      throw core::ConfigError(c10::str("inputs: ", names.size(), " of them for a model that reads ", readings,
                                       " times; the rest would never be read. More depth, or reads"));
    }
    for (size_t i = 0; i < readings; ++i) reads.push_back(i % names.size());
    return reads;
  }
  if (options.reads.size() != readings) {
    throw core::ConfigError(
        c10::str("reads: expected ", readings, " names, one for each reading; got ", options.reads.size()));
  }
  for (const auto& name : options.reads) {
    const auto found = std::find(names.begin(), names.end(), name);
    if (found == names.end()) {
      throw core::ConfigError(
          c10::str("reads: there is no input ", core::in_quotes(name), "; there are ", core::join(names)));
    }
    reads.push_back(static_cast<size_t>(found - names.begin()));
  }
  return reads;
}

}  // namespace

NamedPerceiverImpl::NamedPerceiverImpl(const NamedPerceiverOptions& options, const nn::LayerMakers& makers) {
  PerceiverOptions model = options;
  auto list = std::make_shared<torch::nn::Module>();
  for (const auto& input : options.inputs) {
    check_name(input.name, names_);
    names_.push_back(input.name);
    adapters_.push_back(std::visit([](const auto& adapter) { return nn::make_input(adapter); }, input.adapter));
    list->register_module(input.name, adapters_.back());
  }
  if (names_.empty()) names_ = {"data"};
  reads_ = resolve_reads(options, names_);
  if (!adapters_.empty()) {
    register_module("inputs", list);
    core::OneOrMany<int64_t> widths;
    for (const size_t input : reads_) widths.many.push_back(adapters_[input]->width());
    widths.one = widths.many.front();
    widths.is_list = std::any_of(widths.many.begin(), widths.many.end(), [&](auto w) { return w != widths.one; });
    model.input_channels = widths;
  }
  model_ = register_module("model", Perceiver(model, makers));
}

at::Tensor NamedPerceiverImpl::encode(const std::map<std::string, NamedInputTensors>& inputs, const at::Tensor& latents,
                                      const nn::Trace& trace) {
  std::vector<nn::Context> contexts;
  for (size_t i = 0; i < names_.size(); ++i) {
    const auto found = inputs.find(names_[i]);
    TORCH_CHECK_VALUE(found != inputs.end() && found->second.values.defined(), "the input ", names_[i], " is missing");
    const auto& [values, mask] = found->second;
    contexts.emplace_back(adapters_.empty() ? ops::Source::of(values, {}, mask) : adapters_[i]->source(values, mask));
  }
  PerceiverInputs all;
  for (const size_t input : reads_) all.contexts.push_back(contexts[input]);
  all.latents = latents;
  all.trace = trace;
  return model_->encode(all);
}

at::Tensor NamedPerceiverImpl::forward(const std::map<std::string, NamedInputTensors>& inputs) {
  const auto latents = encode(inputs);
  return model_->options().pool ? model_->pool(latents) : latents;
}

}  // namespace perceive::models
