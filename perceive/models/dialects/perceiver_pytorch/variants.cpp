// The gated Perceiver, and the one of mixed latents.
#include "perceive/models/dialects/perceiver_pytorch/variants.h"

#include <ATen/ATen.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/rnn.h>

#include <algorithm>
#include <tuple>

#include "perceive/models/dialects/perceiver_pytorch/weights.h"

namespace perceive::models::perceiver_pytorch {
namespace {

// What all layers end with: x + dropout(mlp(x)).
class Feedforward {
 public:
  Feedforward(torch::nn::Module& owner, const nn::LayerOptions& options, int64_t channels)
      : mlp_(owner.register_module("mlp", nn::Mlp(options.mlp, channels))), dropout_(options.mlp_dropout) {}
  at::Tensor forward(const at::Tensor& x, bool training) {
    return x + at::dropout(mlp_->forward(x), dropout_, training);
  }

 private:
  nn::Mlp mlp_;
  double dropout_;
};

// The latents are the state of a GRU cell, what they have read is its input.
class Gate {
 public:
  Gate(torch::nn::Module& owner, int64_t channels)
      : gru_(owner.register_module("gru", torch::nn::GRUCell(channels, channels))) {}
  at::Tensor forward(const at::Tensor& read, const at::Tensor& x) {
    const auto rows = read.flatten(0, 1);
    return gru_->forward(rows, x.expand_as(read).reshape_as(rows)).view_as(read);
  }

 private:
  torch::nn::GRUCell gru_;
};

class GatedCross : public nn::CrossLayer {
 public:
  GatedCross(const nn::LayerOptions& options, int64_t channels, int64_t context_channels)
      : attention_(register_module("attention",
                                   nn::Attention(options.attention, nn::AttentionWidths{channels, context_channels}))),
        gate_(*this, channels),
        feedforward_(*this, options, channels) {}
  at::Tensor forward(const at::Tensor& x, const nn::Context& context) override {
    return feedforward_.forward(gate_.forward(attention_->forward(x, context), x), is_training());
  }

 private:
  nn::Attention attention_;
  Gate gate_;
  Feedforward feedforward_;
};

class GatedSelf : public nn::SelfLayer {
 public:
  GatedSelf(const nn::LayerOptions& options, int64_t channels)
      : attention_(register_module("attention",
                                   nn::Attention(options.attention, nn::AttentionWidths{channels, std::nullopt}))),
        gate_(*this, channels),
        feedforward_(*this, options, channels) {}
  at::Tensor forward(const at::Tensor& x) override {
    return feedforward_.forward(gate_.forward(attention_->forward(x), x), is_training());
  }

 private:
  nn::Attention attention_;
  Gate gate_;
  Feedforward feedforward_;
};

// Registers norm, hidden and output, whose channels are the latents.
class Mixer : public nn::SelfLayer {
 public:
  Mixer(const nn::LayerOptions& options, int64_t latents, int64_t channels)
      : norm_(register_module("norm", torch::nn::LayerNorm(torch::nn::LayerNormOptions({channels})))),
        hidden_(register_module("hidden", convolution(latents, 4 * latents))),
        output_(register_module("output", convolution(4 * latents, latents))),
        dropout_(options.mlp_dropout),
        feedforward_(*this, options, channels) {}
  at::Tensor forward(const at::Tensor& x) override {
    const auto hidden = at::gelu(hidden_->forward(norm_->forward(x)));
    return feedforward_.forward(x + output_->forward(at::dropout(hidden, dropout_, is_training())), is_training());
  }

 private:
  static torch::nn::Conv1d convolution(int64_t in, int64_t out) {
    return torch::nn::Conv1d(torch::nn::Conv1dOptions(in, out, /*kernel_size=*/1));
  }

  torch::nn::LayerNorm norm_;
  torch::nn::Conv1d hidden_, output_;
  double dropout_;
  Feedforward feedforward_;
};

PerceiverOptions options_of(const BaseConfig& config) {
  return native_options(config, input_options(config));
}

models::Perceiver gated(const PerceiverOptions& options) {
  const int64_t channels = options.latent_channels, context_channels = options.input_channels.one;
  nn::LayerMakers makers;
  makers.cross = [&](int64_t) { return std::make_shared<GatedCross>(options.cross, channels, context_channels); };
  makers.self = [&](int64_t, int64_t) { return std::make_shared<GatedSelf>(options.self, channels); };
  return without_draws([&] { return models::Perceiver(options, makers); });
}

models::Perceiver mixed(MixedLatentsConfig config) {
  config.latent_heads = config.latent_dim_head = 1;  // the latents attend to nothing
  const auto options = options_of(config);
  nn::LayerMakers makers;
  makers.self = [&](int64_t, int64_t) {
    return std::make_shared<Mixer>(options.self, *options.num_latents, options.latent_channels);
  };
  return without_draws([&] { return models::Perceiver(options, makers); });
}

// Layers of the original: reading the data, MLP, the latents among themselves, MLP. A gate, and the residual of an MLP
// beside it, put one more "fn" around what they hold.
std::vector<Name> names_of(const models::PerceiverImpl& model) {
  NameList names(model);
  const std::string inside = names.has("blocks.0.cross.gru.") ? "fn." : "";
  names.add("latents", "latents");
  for (int64_t i = 0; i < model.options().stack.depth; ++i) {
    const auto block = "blocks." + std::to_string(i) + ".", layer = "layers." + std::to_string(i) + ".";
    for (const auto& [part, reading, mlp] : {std::tuple{"cross.", "0.", "1."}, {"self.0.", "2.", "3."}}) {
      const auto ours = block + part, theirs = layer + reading;
      names.add(ours + "attention.", theirs + inside, kAttentionNames);
      names.add(ours + "gru.", theirs + "gru.");
      names.add(ours, theirs, {{"hidden.", "fn.0."}, {"output.", "fn.3."}, {"norm.", "norm."}});
      names.add(ours + "mlp.", layer + mlp + inside, kMlpNames);
    }
  }
  names.add("norm.", "to_logits.0.");
  names.add("linear.", "to_logits.1.");
  return names.names();
}

models::Perceiver drawn(models::Perceiver model) {
  const auto& stack = model->options().stack;
  Draws draws(*model);
  draws.normal("latents");
  for (int64_t i = 0; i < (stack.tying == nn::WeightTying::none ? stack.depth : std::min<int64_t>(stack.depth, 2));
       ++i) {
    for (const char* part : {"cross.", "self.0."}) {
      const auto layer = "blocks." + std::to_string(i) + "." + part;
      draw_attention(draws, layer + "attention.");
      draws.recurrent(layer + "gru");
      draw_mlp(draws, layer);  // the mixer
      draw_mlp(draws, layer + "mlp.");
    }
  }
  draws.linear("linear");
  return model;
}

}  // namespace

VariantImpl::VariantImpl(models::Perceiver model, const BaseConfig& config)
    : Renamed(model.ptr(), names_of(*model)),
      model_(drawn(std::move(model))),
      input_(input_options(config)),
      cross_heads_(config.cross_heads) {}

at::Tensor VariantImpl::forward(const at::Tensor& data, const at::Tensor& mask) {
  return model_->pool(model_->encode({.contexts = {nn::Context(source(input_, data, mask, cross_heads_))}}));
}

GatedPerceiverImpl::GatedPerceiverImpl(const GatedConfig& config) : VariantImpl(gated(options_of(config)), config) {}

MixedLatentsPerceiverImpl::MixedLatentsPerceiverImpl(const MixedLatentsConfig& config)
    : VariantImpl(mixed(config), config) {}

}  // namespace perceive::models::perceiver_pytorch
