// perceiver-pytorch 0.11.0 written out with plain tensor operations on the parameters of a model: the same values, and
// the same gradients of every parameter and input, in double.
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>
#include <limits>

#include "tests/models/perceiver_pytorch.h"

namespace perceive::models::perceiver_pytorch {
namespace {

struct Heads {
  int64_t cross = 2, self = 2;
};

class Formula {
 public:
  explicit Formula(const torch::nn::Module& module) : state_(io::named_tensors(module)) {}

  at::Tensor get(const std::string& name) const { return state_.at(name); }
  at::Tensor norm(const at::Tensor& x, const std::string& name) const {
    const auto centred = x - x.mean(-1, true);
    return centred / (centred.square().mean(-1, true) + 1e-5).sqrt() * get(name + ".weight") + get(name + ".bias");
  }
  at::Tensor linear(const at::Tensor& x, const std::string& name) const {
    const auto y = at::matmul(x, get(name + ".weight").t());
    const auto bias = state_.find(name + ".bias");
    return bias == state_.end() ? y : y + bias->second;
  }
  // x and context are normalised already; mask [B, S].
  at::Tensor attention(const at::Tensor& x, const at::Tensor& context, const std::string& name, int64_t heads,
                       const at::Tensor& mask = {}, bool inverted = false) const {
    const auto split = [&](const at::Tensor& t) {
      return t.reshape({t.size(0), t.size(1), heads, -1}).transpose(1, 2);
    };
    const auto kv = linear(context, name + ".to_kv").chunk(2, -1);
    const auto q = split(linear(x, name + ".to_q")), k = split(kv[0]), v = split(kv[1]);
    auto scores = at::matmul(q, k.transpose(2, 3)) / std::sqrt(static_cast<double>(q.size(3)));
    const auto shut = mask.defined() ? mask.logical_not().unsqueeze(1).unsqueeze(1) : at::zeros({}, at::kBool);
    scores = scores.masked_fill(shut, std::numeric_limits<double>::lowest());
    auto weights = scores.softmax(inverted ? 2 : 3);
    if (inverted) {
      weights = weights.masked_fill(shut, 0.0);
      weights = weights / weights.abs().sum(-1, true).clamp_min(1e-8);
    }
    return linear(at::matmul(weights, v).transpose(1, 2).flatten(2), name + ".to_out");
  }
  at::Tensor mlp(const at::Tensor& x, const std::string& name) const {
    const auto halves = linear(norm(x, name + ".norm"), name + ".fn.net.0").chunk(2, -1);
    const auto gate = halves[1] * 0.5 * (1 + (halves[1] / std::sqrt(2.0)).erf());
    return linear(halves[0] * gate, name + ".fn.net.2");
  }
  at::Tensor cross(at::Tensor x, const at::Tensor& context, const std::string& block, const at::Tensor& mask,
                   bool inverted, bool queries_too = false) const {
    const auto name = block + "cross_attn";
    const auto q = norm(x, name + ".norm");
    auto read = norm(context, name + ".norm_context"), seen = mask;
    if (queries_too) {
      read = at::cat({q, read}, 1);
      if (mask.defined()) seen = at::cat({at::ones({q.size(0), q.size(1)}, at::kBool), mask}, 1);
    }
    x = x + attention(q, read, name + ".fn", heads_.cross, seen, inverted);
    return x + mlp(x, block + "cross_ff");
  }
  at::Tensor selves(at::Tensor x, const std::string& block, int64_t count) const {
    for (int64_t j = 0; j < count; ++j) {
      const auto name = block + "self_attns." + std::to_string(j);
      const auto normal = norm(x, name + ".0.norm");
      x = x + attention(normal, normal, name + ".0.fn", heads_.self);
      x = x + mlp(x, name + ".1");
    }
    return x;
  }
  at::Tensor residual(const std::vector<at::Tensor>& history, int64_t i) const {
    const auto name = "attn_residuals." + std::to_string(i) + ".to_attn_logits.";
    const auto h = at::stack(history);
    const auto eps = std::numeric_limits<double>::epsilon();
    const auto u = h / (h.square().mean(-1, true) + eps).sqrt() * get(name + "0.weight");
    return (linear(linear(u, name + "1"), name + "2").softmax(0) * h).sum(0);
  }

 private:
  io::Tensors state_;
  Heads heads_;
};

// The positions of a picture, written out behind its channels.
at::Tensor with_positions(const at::Tensor& data, const PerceiverConfig& config) {
  const int64_t rows = data.size(1), columns = data.size(2);
  const auto axis = [&](int64_t size) {
    const auto x = at::linspace(-1, 1, size, at::kDouble).unsqueeze(1);
    const auto s = at::linspace(1, *config.max_freq / 2, *config.num_freq_bands, at::kDouble);
    return at::cat({(x * s * M_PI).sin(), (x * s * M_PI).cos(), x}, 1);
  };
  const auto first = axis(rows).unsqueeze(1).expand({-1, columns, -1});
  const auto second = axis(columns).unsqueeze(0).expand({rows, -1, -1});
  const auto features = at::cat({first, second}, -1).unsqueeze(0).expand({data.size(0), -1, -1, -1});
  return at::cat({data, features}, -1).flatten(1, 2);
}

// Gradients of a fixed linear loss.
void expect_same(const at::Tensor& actual, const at::Tensor& expected, const torch::nn::Module& module,
                 std::vector<at::Tensor> inputs) {
  ASSERT_EQ(actual.sizes(), expected.sizes());
  EXPECT_LE((actual - expected).abs().max().item<double>(), 1e-11);
  const auto weights = golden_input(9, actual.sizes());
  for (const auto& parameter : io::distinct_parameters(module)) inputs.push_back(parameter);
  const auto grad = [&](const at::Tensor& output) {
    return torch::autograd::grad({(output * weights).sum()}, inputs, {}, std::nullopt, false, /*allow_unused=*/true);
  };
  const auto wanted = grad(expected), found = grad(actual);
  for (size_t i = 0; i < inputs.size(); ++i) {
    ASSERT_EQ(found[i].defined(), wanted[i].defined()) << i;
    if (!wanted[i].defined()) continue;
    EXPECT_LE((found[i] - wanted[i]).abs().max().item<double>(), 1e-10 * (1 + wanted[i].abs().max().item<double>()))
        << i;
  }
}

at::Tensor mask_with_holes() {
  return bools({1, 0, 1, 1, 0, 1, 0, 1, 1, 0, 0, 1}, {2, 6});
}

TEST(PerceiverPytorchFormula, IsThatOfPerceiver) {
  for (const bool residual : {false, true}) {
    for (const auto& mask : {at::Tensor(), mask_with_holes(), first_masked()}) {
      auto config = small_with_two_self();
      config.depth = 3;
      config.weight_tie_layers = residual;
      config.attn_residual = residual;
      config.attn_residual_rank = 3;
      config.inverted_cross_attn = {true, false, true};
      auto model = filled<Perceiver>(config);
      const auto data = image().requires_grad_();
      const Formula f(*model);
      auto x = f.get("latents").expand({2, -1, -1});
      std::vector<at::Tensor> history{x};
      for (int64_t i = 0; i < 3; ++i) {
        const auto block = "layers." + std::to_string(i) + ".";
        x = f.selves(f.cross(x, with_positions(data, config), block, mask, i != 1), block, 2);
        history.push_back(x);
        if (residual) x = f.residual(history, i);
      }
      const auto expected = f.linear(f.norm(x.mean(1), "to_logits.1"), "to_logits.2");
      expect_same(model->forward(data, {.mask = mask}), expected, *model, {data});
    }
  }
}

TEST(PerceiverPytorchFormula, IsThatOfPerceiverIO) {
  for (const bool inverted : {false, true}) {
    auto config = small_io();
    config.decoder_ff = true;
    config.logits_dim = 7;
    config.inverted_cross_attn = inverted;
    config.weight_tie_layers = true;
    auto model = filled<PerceiverIO>(config);
    const auto data = sequence().requires_grad_(), asked = queries().requires_grad_();
    const Formula f(*model);
    auto x = f.cross(f.get("latents").expand({2, -1, -1}), data, "cross_attend_block.", prefix(), inverted);
    for (const char* layer : {"layers.0.", "layers.1."}) x = f.selves(x, layer, 1);
    const auto q = f.norm(asked.expand({2, -1, -1}), "decoder_cross_attn.norm");
    auto y = f.attention(q, f.norm(x, "decoder_cross_attn.norm_context"), "decoder_cross_attn.fn", 2);
    y = f.linear(y + f.mlp(y, "decoder_ff"), "to_logits");
    expect_same(model->forward(data, asked, {.mask = prefix()}), y, *model, {data, asked});
  }
}

TEST(PerceiverPytorchFormula, IsThatOfTheBlock) {
  for (const bool inverted : {false, true}) {
    for (const auto& mask : {at::Tensor(), mask_with_holes(), first_masked()}) {
      auto config = small_block();
      auto model = filled<PerceiverBlock>(config);
      const auto x = hidden(4).requires_grad_(), context = golden_input(2, {2, 6, 16}).requires_grad_();
      const Formula f(*model);
      const auto expected = f.selves(f.cross(x, context, "", mask, inverted, true), "", 1);
      expect_same(model->forward(x, {context, mask, inverted}), expected, *model, {x, context});
    }
  }
}

}  // namespace
}  // namespace perceive::models::perceiver_pytorch
