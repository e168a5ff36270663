// Names, initial weights and forward() of flash-perceiver 0.2.0.
#include "perceive/models/dialects/flash_perceiver/perceiver.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>
#include <c10/util/StringUtil.h>

#include "perceive/core/error.h"
#include "perceive/io/names.h"
#include "perceive/models/dialects/draws.h"

namespace perceive::models::flash_perceiver {
namespace {

const Prefixes kLayer{{"attention.query.", "mixer.Wq."},
                      {"attention.key_value.", "mixer.Wkv."},
                      {"attention.query_key_value.", "mixer.Wqkv."},
                      {"attention.output.", "mixer.out_proj."},
                      {"attention.query_norm.", "norm1."},
                      {"attention.norm.", "norm1."},
                      {"mlp.hidden.", "mlp.fc1."},
                      {"mlp.output.", "mlp.fc2."},
                      {"mlp.norm.", "norm2."}};

std::string number(int64_t i) {
  return std::to_string(i);
}

std::vector<Name> names_of(models::PerceiverImpl& model) {
  NameList names(model);
  names.add("latents", "latents");
  for (int64_t i = 0; i < model.options().stack.depth; ++i) {
    names.add("blocks." + number(i) + ".cross.", "layers." + number(i) + ".0.", kLayer);
    for (int64_t j = 0; j < model.options().self_per_cross; ++j) {
      names.add("blocks." + number(i) + ".self." + number(j) + ".", "layers." + number(i) + ".1." + number(j) + ".",
                kLayer);
    }
  }
  names.add("zero_tokens.", "zero_tokens.");
  names.add("query.", "query_block.", kLayer);
  names.add("norm.", "out_proj.0.");
  names.add("linear.", "out_proj.1.");
  return names.names();
}

// A layer of the original: the projections of flash-attn's own, which it replaces, then those it keeps.
void draw_layer(Draws& draws, const std::string& layer, int64_t width, bool cross) {
  if (cross) Draws::discarded_linear(width, width, false);
  Draws::discarded_linear(width, (cross ? 2 : 3) * width, !cross);
  Draws::discarded_linear(width, width, true);
  for (const char* part : {"attention.query", "attention.key_value", "attention.query_key_value", "attention.output",
                           "mlp.hidden", "mlp.output"}) {
    draws.linear(layer + part);
  }
}

models::Perceiver make(const PerceiverOptions& options) {
  auto model = without_draws([&] { return models::Perceiver(options); });
  Draws draws(*model);
  draws.normal("latents");
  const int64_t width = options.latent_channels;
  const bool tied = options.stack.tying == nn::WeightTying::after_first;
  for (int64_t i = 0; i < options.stack.depth; ++i) {
    const auto block = "blocks." + number(i) + ".";
    for (int64_t j = 0; j < options.self_per_cross && !(tied && i > 1); ++j) {
      draw_layer(draws, block + "self." + number(j) + ".", width, false);
    }
    if (!(tied && i > 1)) draw_layer(draws, block + "cross.", width, true);
    draws.normal("zero_tokens." + number(i));
  }
  if (options.query) draw_layer(draws, "query.", options.query->query_channels, true);
  draws.linear("linear");
  return model;
}

int64_t hidden_or_default(const BaseConfig& config, int64_t hidden) {
  return hidden > 0 ? hidden : gated_hidden(config.latent_dim, 256);
}

}  // namespace

int64_t gated_hidden_of(const io::Tensors& state_dict) {
  const auto found = state_dict.find("layers.0.0.mlp.fc2.weight");
  return found != state_dict.end() && found->second.dim() == 2 ? found->second.size(1) : 0;
}

at::Tensor random_mask(const at::Tensor& data) {
  const auto lengths = at::randint(1, data.size(1) + 1, {data.size(0), 1}, data.options().dtype(at::kLong));
  return at::arange(data.size(1), lengths.options()).unsqueeze(0).lt(lengths);
}

ModelImpl::ModelImpl(const BaseConfig& config, models::Perceiver model)
    : Renamed(model.ptr(), names_of(*model)), model_(std::move(model)), use_flash_attn_(config.use_flash_attn) {}

std::vector<std::string> ModelImpl::load_state_dict(io::Tensors tensors, const std::string& origin) {
  if (tensors.count("out_proj.2.weight")) {
    for (const char* part : {"weight", "bias"}) {
      for (const int i : {1, 2}) {
        const auto from = c10::str("out_proj.", i, ".", part);
        if (auto node = tensors.extract(from)) {
          node.key() = c10::str("out_proj.", i - 1, ".", part);
          tensors.insert(std::move(node));
        }
      }
    }
  }
  return io::load_into(*this, tensors, origin);
}

void ModelImpl::set_flash_attn(bool on) {
  use_flash_attn_ = on;
  for (const auto& module : model_->modules(/*include_self=*/false)) {
    auto* attention = dynamic_cast<nn::AttentionImpl*>(module.get());
    if (attention) attention->set_empty_rows(on ? nn::EmptyRows::zeros : nn::EmptyRows::penalty);
  }
}

int64_t ModelImpl::num_attention_layers_per_block() const {
  return 1 + model_->options().self_per_cross;
}
int64_t ModelImpl::num_attention_layers() const {
  return model_->options().stack.depth * num_attention_layers_per_block();
}
int64_t ModelImpl::num_self_attention_layers() const {
  return model_->options().stack.depth * model_->options().self_per_cross;
}
int64_t ModelImpl::num_cross_attention_layers() const {
  return model_->options().stack.depth;
}

at::Tensor ModelImpl::encode(const Data& data, const ForwardOptions& options) {
  TORCH_CHECK_VALUE(!use_flash_attn_ || !options.return_attn_weights,
                    "FlashAttention keeps no attention weights: set use_flash_attn to false to have them returned");
  const auto& model = model_->options();
  const auto readings = static_cast<size_t>(model.stack.depth);
  TORCH_CHECK_VALUE(!data.is_list || data.tensors.size() == readings, "Expected ", readings, " inputs, but found ",
                    data.tensors.size());
  auto masks = data.masks;
  if (data.is_list) {
    TORCH_CHECK_VALUE(masks.size() <= readings, "Expected ", readings, " masks, but found ", masks.size());
    masks.resize(readings);
  }
  PerceiverInputs inputs;
  const int64_t batch = data.tensors.front().size(0);
  for (size_t i = 0; i < data.tensors.size(); ++i) {
    const auto& tensor = data.tensors[i];
    const int64_t width = model.input_channels.is_list ? model.input_channels.many[i] : model.input_channels.one;
    TORCH_CHECK_VALUE(tensor.dim() == 3 && tensor.size(2) == width,
                      "Data dimensions do not match cross-attention dimensions: input ", i, " must be [B, M, ", width,
                      "]; got ", tensor.sizes());
    TORCH_CHECK_VALUE(tensor.size(0) == batch, "All data tensors must have the same batch size: input ", i, " has ",
                      tensor.size(0), " where the first has ", batch);
    const auto& mask = masks[i];
    TORCH_CHECK_VALUE(
        !mask.defined() || (mask.scalar_type() == at::kBool && mask.sizes() == tensor.sizes().slice(0, 2)), "mask ", i,
        ": expected bool ", tensor.sizes().slice(0, 2), ", true where a token counts; got ",
        mask.defined() ? mask.scalar_type() : at::kBool, " ", mask.defined() ? mask.sizes() : tensor.sizes());
    inputs.contexts.emplace_back(ops::Source::of(tensor, {}, mask));
  }
  if (!data.is_list && model.input_channels.is_list) {
    for (const int64_t width : model.input_channels.many) {
      TORCH_CHECK_VALUE(width == data.tensors.front().size(2),
                        "Data dimensions do not match cross-attention dimensions: "
                        "one input of ",
                        data.tensors.front().size(2), " channels for blocks that read ", width);
    }
  }
  TORCH_CHECK_VALUE(!options.latents.defined() || options.latents.size(-1) == model.latent_channels,
                    "Latents must have ", model.latent_channels, " dimensions, but found ",
                    options.latents.defined() ? options.latents.size(-1) : 0);
  TORCH_CHECK_VALUE(options.latents.defined() || model.num_latents,
                    "Must explicitly provide latents if not initialized with num_latents");
  inputs.latents = options.latents;
  inputs.trace.weights = options.return_attn_weights;
  return model_->encode(inputs);
}

PerceiverImpl::PerceiverImpl(const PerceiverConfig& config, int64_t gated_hidden)
    : ModelImpl(config, make(native_options(config, hidden_or_default(config, gated_hidden)))) {}

at::Tensor PerceiverImpl::forward(const Data& data, const ForwardOptions& options) {
  const auto latents = encode(data, options);
  return model_->options().pool && !options.return_embeddings ? model_->pool(latents) : latents;
}

PerceiverIOImpl::PerceiverIOImpl(const PerceiverIOConfig& config, int64_t gated_hidden)
    : ModelImpl(config, make(native_options(config, hidden_or_default(config, gated_hidden)))) {}

at::Tensor PerceiverIOImpl::forward(const Data& data, const at::Tensor& queries, const ForwardOptions& options) {
  const auto latents = encode(data, options);
  return queries.defined() ? model_->decode(latents, queries) : latents;
}

}  // namespace perceive::models::flash_perceiver
