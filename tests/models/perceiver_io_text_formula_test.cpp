// The text models of perceiver-io 0.2.1 against their formula in plain tensor operations, in double, with gradients.
#include <gtest/gtest.h>
#include <torch/autograd.h>

#include <limits>

#include "perceive/io/names.h"
#include "perceive/models/dialects/perceiver_io/masked_lm.h"
#include "perceive/models/dialects/perceiver_io/text_classifier.h"
#include "tests/models/perceiver_io_text.h"

namespace perceive::models::perceiver_io {
namespace {

class Formula {
 public:
  explicit Formula(const torch::nn::Module& model) : weights_(model.named_parameters()) {}

  at::Tensor encode(const TextEncoderConfig& config, const std::string& at, const at::Tensor& ids,
                    const at::Tensor& padding) const {
    const auto embedding = weights_[at + "input_adapter.text_embedding.weight"];
    const auto positions = weights_[at + "input_adapter.pos_encoding"].narrow(0, 0, ids.size(1));
    const double scale = std::sqrt(static_cast<double>(config.num_input_channels));
    const auto input =
        embedding.index_select(0, ids.flatten()).view({ids.size(0), ids.size(1), -1}) * scale + positions;
    auto z = weights_[at + "latent"].expand({ids.size(0), -1, -1});
    for (int64_t i = 0; i < config.num_self_attention_blocks; ++i) {
      const std::string which = i == 0 ? "_1" : "_n";
      if (i < config.num_cross_attention_layers) {
        z = cross(at + "cross_attn" + which, z, input, config.num_cross_attention_heads, padding);
      }
      for (int64_t j = 0; j < config.num_self_attention_layers_per_block; ++j) {
        const auto name = at + "self_attn" + which + "." + std::to_string(j);
        const auto normed = norm(name + ".module.0.module.norm", z);
        z = z + attention(name, normed, normed, config.num_self_attention_heads, {});
        z = z + mlp(name, z);
      }
    }
    return z;
  }

  // What the output adapter gets.
  at::Tensor decode(const std::string& at, const at::Tensor& latents, int64_t heads) const {
    const auto queries = weights_[at + "output_adapter._output_query"].expand({latents.size(0), -1, -1});
    return cross(at + "cross_attention", queries, latents, heads, {});
  }

  at::Tensor logits(const std::string& at, const at::Tensor& answers, bool tied) const {
    const auto name = at + "output_adapter.";
    return at::matmul(answers, weights_[name + (tied ? "embedding_weights" : "linear.weight")].t()) +
           weights_[name + (tied ? "bias" : "linear.bias")];
  }

 private:
  at::Tensor norm(const std::string& name, const at::Tensor& x) const {
    const auto centred = x - x.mean(-1, true);
    return centred / (centred.square().mean(-1, true) + 1e-5).sqrt() * weights_[name + ".weight"] +
           weights_[name + ".bias"];
  }
  at::Tensor linear(const std::string& name, const at::Tensor& x) const {
    const auto y = at::matmul(x, weights_[name + ".weight"].t());
    return weights_.contains(name + ".bias") ? y + weights_[name + ".bias"] : y;
  }
  at::Tensor attention(const std::string& layer, const at::Tensor& x, const at::Tensor& context, int64_t heads,
                       const at::Tensor& padding) const {
    const auto name = layer + ".module.0.module.attention.";
    const auto split = [&](const at::Tensor& t) { return t.view({t.size(0), t.size(1), heads, -1}).transpose(1, 2); };
    const auto q = split(linear(name + "q_proj", x));
    const auto k = split(linear(name + "k_proj", context)), v = split(linear(name + "v_proj", context));
    auto scores = at::matmul(q, k.transpose(2, 3)) / std::sqrt(static_cast<double>(q.size(3)));
    if (padding.defined()) {
      scores = scores.masked_fill(padding.unsqueeze(1).unsqueeze(1), -std::numeric_limits<double>::max());
    }
    const auto read = at::matmul(scores.softmax(-1), v).transpose(1, 2).flatten(2);
    return linear(name + "o_proj", read);
  }
  at::Tensor mlp(const std::string& layer, const at::Tensor& x) const {
    const auto name = layer + ".module.1.module.";
    return linear(name + "3", at::gelu(linear(name + "1", norm(name + "0", x))));
  }
  at::Tensor cross(const std::string& layer, const at::Tensor& x, const at::Tensor& context, int64_t heads,
                   const at::Tensor& padding) const {
    const auto name = layer + ".module.0.module.";
    const auto z = x + attention(layer, norm(name + "q_norm", x), norm(name + "kv_norm", context), heads, padding);
    return z + mlp(layer, z);
  }

  torch::OrderedDict<std::string, at::Tensor> weights_;
};

void expect_same(const torch::nn::Module& model, const at::Tensor& actual, const at::Tensor& expected) {
  EXPECT_TRUE(at::allclose(actual, expected, 1e-10, 1e-10)) << (actual - expected).abs().max();
  const auto parameters = io::distinct_parameters(model);
  const auto cotangent = at::sin(at::arange(actual.numel(), at::kDouble)).view(actual.sizes());
  const auto found = torch::autograd::grad({actual}, parameters, {cotangent});
  const auto wanted = torch::autograd::grad({expected}, parameters, {cotangent});
  for (size_t i = 0; i < found.size(); ++i) EXPECT_TRUE(at::allclose(found[i], wanted[i], 1e-9, 1e-9)) << i;
}

// The second text is all padding.
at::Tensor padding() {
  auto mask = text_padding();
  mask[1].fill_(true);
  mask[0][3] = true;
  return mask;
}

TEST(TextFormula, IsThatOfTheMaskedLM) {
  for (const bool tied : {false, true}) {
    at::manual_seed(2);
    const auto config = small_masked_lm(tied);
    MaskedLM model(config);
    model->to(at::kDouble);
    const Formula formula(*model);
    const auto latents = formula.encode(config.encoder, "encoder.", text_ids(), padding());
    const auto answers = formula.decode("decoder.", latents, config.decoder.num_cross_attention_heads);
    expect_same(*model, model->forward(text_ids(), padding()),
                formula.logits("decoder.", answers, tied).narrow(1, 0, 7));
  }
}

TEST(TextFormula, IsThatOfTheClassifier) {
  at::manual_seed(2);
  const auto config = small_classifier();
  TextClassifier model(config);
  model->to(at::kDouble);
  const Formula formula(*model);
  const auto latents = formula.encode(config.encoder, "0.", text_ids(), padding());
  const auto answers = formula.decode("1.", latents, config.decoder.num_cross_attention_heads);
  expect_same(*model, model->forward(text_ids(), padding()), formula.logits("1.", answers, false).squeeze(1));
}

}  // namespace
}  // namespace perceive::models::perceiver_io
