// The Perceiver whose data read the latents.
#include "perceive/models/dialects/perceiver_pytorch/experimental.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>

#include "perceive/models/dialects/perceiver_pytorch/weights.h"
#include "perceive/nn/heads.h"
#include "perceive/nn/learned_array.h"

namespace perceive::models::perceiver_pytorch {
namespace {

torch::nn::LayerNorm norm_of(int64_t channels) {
  return torch::nn::LayerNorm(torch::nn::LayerNormOptions({channels}));
}

// Attention without its quadratic cost, as the original has it: of each head, softmax(q) and softmax(k) are multiplied
// over the tokens, and the values pass through that matrix [d, d].
class LinearAttention : public torch::nn::Module {
 public:
  LinearAttention(int64_t channels, double dropout)
      : norm_(register_module("norm", norm_of(channels))),
        query_key_value_(register_module(
            "query_key_value", nn::Linear(torch::nn::LinearOptions(channels, 3 * kHeads * kWidth).bias(false)))),
        output_(register_module("output", nn::Linear(kHeads * kWidth, channels))),
        dropout_(dropout) {}
  at::Tensor forward(const at::Tensor& x) {
    const auto parts = query_key_value_->forward(norm_->forward(x)).chunk(3, -1);
    const auto heads = [](const at::Tensor& part) { return nn::split_heads(part, kHeads); };
    const auto q = (heads(parts[0]) / std::sqrt(static_cast<double>(kWidth))).softmax(-1),
               k = heads(parts[1]).softmax(-2);
    const auto y = at::matmul(heads(parts[2]), at::matmul(q.transpose(-1, -2), k));
    return at::dropout(output_->forward(nn::merge_heads(y)), dropout_, is_training());
  }

 private:
  static constexpr int64_t kHeads = 4, kWidth = 64;

  torch::nn::LayerNorm norm_;
  nn::Linear query_key_value_, output_;
  double dropout_;
};

struct TwoWayOptions {
  PerceiverOptions latents;  // what has these as queries
  int64_t width;             // of the data
};

class TwoWayLayer : public torch::nn::Module {
 public:
  explicit TwoWayLayer(const TwoWayOptions& options) : mlp_dropout_(options.latents.cross.mlp_dropout) {
    const auto &cross = options.latents.cross, &self = options.latents.self;
    const int64_t latents = options.latents.latent_channels, data = options.width;
    const auto attention = [&](const char* name, const nn::LayerOptions& layer, const nn::AttentionWidths& widths) {
      return register_module(name, nn::Attention(layer.attention, widths));
    };
    const auto mlp = [&](const char* name, int64_t channels) {
      return register_module(name, nn::Mlp(cross.mlp, channels));
    };
    read_ = attention("read", cross, {latents, data});
    read_mlp_ = mlp("read_mlp", latents);
    answer_ = attention("answer", cross, {data, latents});
    answer_mlp_ = mlp("answer_mlp", data);
    data_ = register_module("data", std::make_shared<LinearAttention>(data, cross.attention.dropout));
    self_ = attention("self", self, {latents, std::nullopt});
    self_mlp_ = mlp("self_mlp", latents);
  }

  at::Tensor read(const at::Tensor& x, const at::Tensor& data, const at::Tensor& mask) {
    return add_mlp(read_mlp_, x + read_->forward(x, ops::Source::of(data, {}, mask)));
  }
  at::Tensor answer(const at::Tensor& data, const at::Tensor& x) {
    const auto mixed = data + data_->forward(data);
    return add_mlp(answer_mlp_, mixed + answer_->forward(mixed, ops::Source::of(x)));
  }
  at::Tensor mix(const at::Tensor& x) { return add_mlp(self_mlp_, x + self_->forward(x)); }

 private:
  at::Tensor add_mlp(nn::Mlp& mlp, const at::Tensor& x) {
    return x + at::dropout(mlp->forward(x), mlp_dropout_, is_training());
  }

  nn::Attention read_{nullptr}, answer_{nullptr}, self_{nullptr};
  nn::Mlp read_mlp_{nullptr}, answer_mlp_{nullptr}, self_mlp_{nullptr};
  std::shared_ptr<LinearAttention> data_;
  double mlp_dropout_;
};

}  // namespace

class TwoWayModel : public torch::nn::Module {
 public:
  explicit TwoWayModel(const TwoWayOptions& options) {
    const auto& model = options.latents;
    const int64_t channels = model.latent_channels;
    latents_ = register_parameter("latents", nn::learned_array(*model.num_latents, channels));
    data_proj_ = register_module("data_proj", nn::Linear(options.width, options.width));
    for (int64_t i = 0; i < model.stack.depth; ++i) {
      const bool shared = i > 1 && model.stack.tying != nn::WeightTying::none;
      auto layer = shared ? layers_.back() : std::make_shared<TwoWayLayer>(options);
      layers_.push_back(register_module("layer" + std::to_string(i), layer));
    }
    norm_ = register_module("norm", norm_of(channels));
    linear_ = register_module("linear", nn::Linear(channels, model.pool->channels));
  }

  at::Tensor forward(const at::Tensor& given, const at::Tensor& mask) {
    auto data = data_proj_->forward(given);
    auto x = latents_.unsqueeze(0);
    for (size_t i = 0; i < layers_.size(); ++i) {
      x = layers_[i]->read(x, data, mask);
      if (i + 1 < layers_.size()) data = layers_[i]->answer(data, x);
      x = layers_[i]->mix(x);
    }
    return linear_->forward(norm_->forward(x.mean(1)));
  }

 private:
  at::Tensor latents_;
  nn::Linear data_proj_{nullptr}, linear_{nullptr};
  torch::nn::LayerNorm norm_{nullptr};
  std::vector<std::shared_ptr<TwoWayLayer>> layers_;
};

namespace {

std::vector<Name> names_of(const TwoWayModel& model, int64_t depth) {
  NameList names(model);
  names.add("latents", "latents");
  names.add("data_proj.", "data_proj.");
  for (int64_t i = 0; i < depth; ++i) {
    const auto ours = "layer" + std::to_string(i) + ".", theirs = "layers." + std::to_string(i) + ".";
    names.add(ours + "read.", theirs + "0.", kAttentionNames);
    names.add(ours + "read_mlp.", theirs + "1.", kMlpNames);
    names.add(ours + "answer.", theirs + "2.", kAttentionNames);
    names.add(ours + "answer_mlp.", theirs + "3.", kMlpNames);
    names.add(ours + "data.", theirs + "4.",
              {{"query_key_value.", "fn.to_qkv."}, {"output.", "fn.to_out.0."}, {"norm.", "norm."}});
    names.add(ours + "self.", theirs + "5.", kAttentionNames);
    names.add(ours + "self_mlp.", theirs + "6.", kMlpNames);
  }
  names.add("norm.", "to_logits.0.");
  names.add("linear.", "to_logits.1.");
  return names.names();
}

std::shared_ptr<TwoWayModel> make(const ExperimentalConfig& config) {
  const auto input = input_options(config);
  // With position features the original counts the channels of the data twice, here as there.
  const int64_t data = width(input) + (input.fourier ? input.channels : 0);
  const TwoWayOptions options{native_options(config, input), data};
  auto model = without_draws([&] { return std::make_shared<TwoWayModel>(options); });
  Draws draws(*model);
  draws.normal("latents");
  draws.linear("data_proj");
  for (int64_t i = 0; i < (config.weight_tie_layers ? std::min<int64_t>(config.depth, 2) : config.depth); ++i) {
    const auto layer = "layer" + std::to_string(i) + ".";
    draw_attention(draws, layer + "read.");
    draw_mlp(draws, layer + "read_mlp.");
    draw_attention(draws, layer + "answer.");
    draw_mlp(draws, layer + "answer_mlp.");
    draws.linear(layer + "data.query_key_value");
    draws.linear(layer + "data.output");
    draw_attention(draws, layer + "self.");
    draw_mlp(draws, layer + "self_mlp.");
  }
  draws.linear("linear");
  return model;
}

}  // namespace

ExperimentalPerceiverImpl::ExperimentalPerceiverImpl(const ExperimentalConfig& config)
    : ExperimentalPerceiverImpl(config, make(config)) {}

ExperimentalPerceiverImpl::ExperimentalPerceiverImpl(const ExperimentalConfig& config,
                                                     std::shared_ptr<TwoWayModel> model)
    : Renamed(model, names_of(*model, config.depth)),
      config_(config),
      input_(input_options(config)),
      model_(std::move(model)) {}

at::Tensor ExperimentalPerceiverImpl::forward(const at::Tensor& data, const at::Tensor& mask) {
  TORCH_CHECK_VALUE(
      !config_.fourier_encode_data,
      "experimental.Perceiver cannot run with fourier_encode_data, in the original neither: its layers are "
      "made for ",
      config_.input_channels,
      " channels more than its data have; set fourier_encode_data to "
      "false, or use perceiver_pytorch.Perceiver");
  TORCH_CHECK_VALUE(
      !mask.defined() || config_.depth == 1,
      "mask: experimental.Perceiver takes one with a depth of 1 only, since the original fails in its linear "
      "attention; the depth is ",
      config_.depth);
  const auto read = source(input_, data, mask, config_.cross_heads);
  return model_->forward(read.values, read.mask);
}

}  // namespace perceive::models::perceiver_pytorch
