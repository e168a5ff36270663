// Perceiver of perceiver-pytorch.
#include "perceive/models/dialects/perceiver_pytorch/perceiver.h"

#include <c10/util/StringUtil.h>

#include "perceive/core/error.h"
#include "perceive/io/names.h"
#include "perceive/models/dialects/perceiver_pytorch/weights.h"

namespace perceive::models::perceiver_pytorch {
namespace {

models::Perceiver make(const PerceiverOptions& options, Version version) {
  auto model = without_draws([&] { return models::Perceiver(options); });
  draw(*model, version);
  return model;
}

}  // namespace

ModelImpl::ModelImpl(const PerceiverOptions& options, Version version) : ModelImpl(make(options, version), version) {}

ModelImpl::ModelImpl(models::Perceiver model, Version version)
    : Renamed(model.ptr(), names_of(*model, version)), model_(std::move(model)), version_(version) {}

io::Tensors ModelImpl::to_own_names(io::Tensors tensors, const std::string& origin) const {
  const auto& residual = model_->options().stack.depth_attention;
  for (const auto& [name, tensor] : tensors) {
    if (!residual || !name.ends_with("to_attn_logits.0.weight") || (tensor.dim() == 1) == residual->normalize) continue;
    throw core::FileError(c10::str(origin, ": the attention residual has ", residual->normalize ? "no" : "a",
                                   " norm in these weights; make the model as version ",
                                   residual->normalize ? "0.10.0" : "0.10.1 or later"));
  }
  const auto theirs = version_of(tensors, version_);
  return renamed(std::move(tensors), names_of(*model_, theirs), names_of(*model_, version_));
}

std::vector<std::string> ModelImpl::load_state_dict(io::Tensors tensors, const std::string& origin) {
  return io::load_into(*this, to_own_names(std::move(tensors), origin), origin);
}

at::Tensor ModelImpl::encode(std::vector<nn::Context> contexts, const ForwardOptions& options) {
  PerceiverInputs inputs{.contexts = std::move(contexts)};
  inputs.trace.hiddens = options.return_hiddens;
  if (options.block_outputs) inputs.trace.history = &*options.block_outputs;
  return model_->encode(inputs);
}

PerceiverImpl::PerceiverImpl(const PerceiverConfig& config, Version version)
    : ModelImpl(native_options(config, version), version), config_(config), input_(input_options(config)) {}

at::Tensor PerceiverImpl::forward(const at::Tensor& data, const ForwardOptions& options) {
  nn::Context context(source(input_, data, options.mask, config_.cross_heads));
  std::vector<nn::Context> contexts;
  const auto& inverted = config_.inverted_cross_attn;
  if (inverted.is_list) {
    for (const bool each : inverted.many) {
      contexts.push_back(context);
      contexts.back().inverted = each;
    }
  } else {
    context.inverted = inverted.one;
    contexts.push_back(std::move(context));
  }
  const auto latents = encode(std::move(contexts), options);
  return model_->options().pool && !options.return_embeddings ? model_->pool(latents) : latents;
}

}  // namespace perceive::models::perceiver_pytorch
