// linformer-pytorch 0.1.0: the original's numbers, names and quirks. Cases are named as in its specification.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "perceive/core/config.h"
#include "perceive/models/catalog.h"
#include "perceive/models/dialects/linformer_pytorch/padder.h"
#include "perceive/models/dialects/linformer_pytorch/truncated_linformer.h"
#include "tests/models/linformer_pytorch.h"
#include "tests/refusal.h"

namespace perceive::models::linformer_pytorch {
namespace {

using testing::HasSubstr;

TruncatedLinformerConfig config_of(const nlohmann::json& json) {
  LinformerConfig config;
  core::assign_json(config, json, "golden");
  return truncated(config);
}
TruncatedLinformerConfig small() {
  return config_of(golden("0.1.0").at("a").at("cfg"));
}

void expect_case(const std::string& name, double gradient_tolerance) {
  const auto expected = golden("0.1.0").at(name);
  const auto config = config_of(expected.at("cfg"));
  TruncatedLinformer model(config);
  fill(*model);
  const auto x = golden_input({2, config.input_size, config.channels}).requires_grad_();
  const auto output = model->forward(x);
  expect_golden(output, expected.at("out"));
  (output * golden_cotangent(output)).sum().backward();
  expect_golden(x.grad(), expected.at("dx"), gradient_tolerance);
  const auto parameters = model->named_parameters();
  for (const auto& [parameter, gradient] : expected.at("g").items()) {
    SCOPED_TRACE(parameter);
    expect_golden(parameters[parameter].grad(), gradient, gradient_tolerance);
  }
}

TEST(LinformerPytorch010, a) {
  expect_case("a", 1e-5);
}
TEST(LinformerPytorch010, b_k_gt_n) {
  expect_case("b_k_gt_n", 2e-5);
}

// Section 1 in plain formulas, a head at a time, with E and F written out.
at::Tensor formula(TruncatedLinformerImpl& model, const TruncatedLinformerConfig& config, at::Tensor x) {
  const auto p = model.named_parameters();
  const auto linear = [&](const at::Tensor& y, const std::string& name) {
    const auto* bias = p.find(name + ".bias");
    return at::linear(y, p[name + ".weight"], bias ? *bias : at::Tensor());
  };
  const auto norm = [&](const at::Tensor& y, const std::string& name) {
    return at::layer_norm(y, {config.channels}, p[name + ".weight"], p[name + ".bias"]);
  };
  for (int64_t i = 0; i < config.depth; ++i) {
    const auto layer = "layers." + std::to_string(i) + ".";
    const auto e = at::eye(config.dim_k, config.input_size, x.options());
    std::vector<at::Tensor> heads;
    for (int64_t j = 0; j < config.nhead; ++j) {
      const auto head = layer + "0.heads." + std::to_string(j) + ".";
      const auto q = linear(linear(x, layer + "0.to_q"), head + "w_q");
      const auto k = at::matmul(e, linear(linear(x, layer + "0.to_k"), head + "w_k"));
      const auto v = at::matmul(e, linear(linear(x, layer + "0.to_v"), head + "w_v"));
      heads.push_back(
          at::matmul(at::softmax(at::matmul(q, k.mT()) / std::sqrt(static_cast<float>(config.dim_d)), -1), v));
    }
    x = norm(linear(at::cat(heads, -1), layer + "0.w_o") + x.detach(), layer + "1");
    x = norm(linear(at::gelu(linear(x, layer + "2.w_1")), layer + "2.w_2") + x.detach(), layer + "3");
  }
  return x;
}

TEST(LinformerPytorch010, IsTheFormulaAtOddSizes) {
  // The last one takes several blocks of rows.
  for (const auto& [n, k] : {std::pair<int64_t, int64_t>{1, 1}, {7, 3}, {5, 11}, {31, 31}, {12000, 3}}) {
    const TruncatedLinformerConfig config{
        .input_size = n, .channels = 5, .dim_k = k, .dim_ff = 3, .dim_d = 7, .nhead = 3, .depth = 2};
    TruncatedLinformer model(config);
    fill(*model);
    auto leaves = model->parameters();
    leaves.push_back(golden_input({3, n, 5}).requires_grad_());
    const auto actual = model->forward(leaves.back()), expected = formula(*model, config, leaves.back());
    EXPECT_TRUE(at::allclose(actual, expected, 1e-10, 1e-10)) << n << " " << k;
    const auto found = torch::autograd::grad({actual}, leaves, {golden_cotangent(actual)});
    const auto wanted = torch::autograd::grad({expected}, leaves, {golden_cotangent(expected)});
    for (size_t i = 0; i < wanted.size(); ++i) {
      EXPECT_TRUE(at::allclose(found[i], wanted[i], 1e-8, 1e-8)) << n << " " << k << " " << i;
    }
  }
}

std::vector<at::Tensor> gradients(TruncatedLinformerConfig config, const std::string& level, bool training) {
  config.checkpoint_level = level;
  TruncatedLinformer model(config);
  fill(*model);
  model->train(training);
  at::manual_seed(3);
  const auto output = model->forward(golden_input({2, config.input_size, config.channels}));
  (output * golden_cotangent(output)).sum().backward();
  std::vector<at::Tensor> all{output.detach()};
  for (const auto& parameter : model->parameters()) all.push_back(parameter.grad());
  return all;
}

// In the original the first layer's attention is left without gradients in C1 and C2, where they run at all.
TEST(LinformerPytorch010, GivesTheSameGradientsAtEveryCheckpointLevel) {
  auto many_rows = small();  // several blocks of them
  many_rows.input_size = 3000;
  many_rows.channels = many_rows.dim_d = 128;
  many_rows.dim_ff = 256;
  for (const auto& config : {small(), many_rows}) {
    for (const bool training : {false, true}) {
      const auto expected = gradients(config, "C0", training);
      for (const char* level : {"C1", "C2"}) {
        const auto actual = gradients(config, level, training);
        for (size_t i = 0; i < expected.size(); ++i) {
          EXPECT_TRUE(at::allclose(actual[i], expected[i], 1e-10, 1e-12)) << level << " " << i;
        }
      }
    }
  }
}

TEST(LinformerPytorch010, ReadsTheFirstTokensOnly) {
  TruncatedLinformer model(small());
  fill(*model);
  const auto x = golden_input({2, 12, 8});
  auto other = x.clone();
  other.narrow(1, 4, 8).add_(1);
  EXPECT_TRUE(model->forward(x).narrow(1, 0, 4).equal(model->forward(other).narrow(1, 0, 4)));
}

TEST(LinformerPytorch010, IgnoresTheActivation) {
  auto config = small();
  TruncatedLinformer gelu(config);
  config.activation = "relu";
  TruncatedLinformer relu(config);
  fill(*gelu);
  fill(*relu);
  const auto x = golden_input({2, 12, 8});
  EXPECT_TRUE(gelu->forward(x).equal(relu->forward(x)));
}

TEST(LinformerPytorch010, HasTheNamesOfTheOriginal) {
  TruncatedLinformer model(small());
  std::vector<std::string> names;
  for (const auto& [name, tensor] : state_of(*model)) {
    if (name.starts_with("layers.1.")) names.push_back(name.substr(9));
  }
  EXPECT_THAT(names, testing::ElementsAre(
                         "0.heads.0.w_k.weight", "0.heads.0.w_k.bias", "0.heads.0.w_q.weight", "0.heads.0.w_q.bias",
                         "0.heads.0.w_v.weight", "0.heads.0.w_v.bias", "0.heads.1.w_k.weight", "0.heads.1.w_k.bias",
                         "0.heads.1.w_q.weight", "0.heads.1.w_q.bias", "0.heads.1.w_v.weight", "0.heads.1.w_v.bias",
                         "0.w_o.weight", "0.w_o.bias", "0.to_q.weight", "0.to_k.weight", "0.to_v.weight", "1.weight",
                         "1.bias", "2.w_1.weight", "2.w_1.bias", "2.w_2.weight", "2.w_2.bias", "3.weight", "3.bias"));
}

TEST(LinformerPytorch010, HasAsManyParametersAsTheOriginal) {
  const auto count = [](const TruncatedLinformerConfig& config) {
    int64_t total = 0;
    for (const auto& parameter : TruncatedLinformer(config)->parameters()) total += parameter.numel();
    return total;
  };
  EXPECT_EQ(count({}), 3677184);
  EXPECT_EQ(count({.input_size = 262144, .channels = 64, .dim_ff = 128, .dim_d = 256, .depth = 2}), 1842176);
}

TEST(LinformerPytorch010, DrawsTheWeightsOfTheOriginal) {
  at::manual_seed(5);
  TruncatedLinformer model(small());
  const auto parameters = model->named_parameters();
  const auto first = [&](const char* name) { return parameters[name].flatten()[0].item<float>(); };
  EXPECT_FLOAT_EQ(first("layers.0.0.heads.0.w_k.weight"), 0.26964953541755676F);
  EXPECT_FLOAT_EQ(first("layers.0.0.to_v.weight"), 0.2529405653476715F);
  EXPECT_FLOAT_EQ(first("layers.1.0.heads.0.w_k.weight"), 0.3880152404308319F);
  EXPECT_FLOAT_EQ(first("layers.1.2.w_2.bias"), -0.21308720111846924F);
}

TEST(LinformerPytorch010, PadsShortInputsWithZeros) {
  TruncatedLinformer net(small());
  fill(*net);
  Padder<TruncatedLinformer> padder(net);
  const auto x = golden_input({2, 7, 8});
  const auto whole = at::cat({x, at::zeros({2, 5, 8}, at::kDouble)}, 1);
  EXPECT_TRUE(padder->forward(x).equal(net->forward(whole).narrow(1, 0, 7)));
  EXPECT_EQ(padder->named_parameters().front().key(), "net.layers.0.0.heads.0.w_k.weight");
  EXPECT_THAT(refusal([&] { padder->forward(golden_input({2, 13, 8})); }), HasSubstr("n up to 12; got [2, 13, 8]"));
}

TEST(LinformerPytorch010, RefusesAsTheOriginal) {
  auto config = small();
  config.activation = "tanh";
  EXPECT_THAT(refusal([&] { TruncatedLinformer model(config); }),
              HasSubstr("Only gelu and relu activations supported for now"));
  config = small();
  config.checkpoint_level = "C3";
  EXPECT_THAT(refusal([&] { TruncatedLinformer model(config); }),
              HasSubstr("Checkpoint level has to be either C0, C1, or C2"));
  LinformerConfig later;
  later.causal = true;
  EXPECT_THAT(refusal([&] { truncated(later); }), HasSubstr("causal: linformer-pytorch 0.1.0 has no such argument"));
  TruncatedLinformer model(small());
  EXPECT_THAT(refusal([&] { model->forward(at::zeros({2, 11, 8})); }), HasSubstr("Dimension 1 has to match"));
  EXPECT_THAT(refusal([&] { model->forward(at::zeros({2, 12, 7})); }), HasSubstr("Dimension 2 has to match"));
}

TEST(LinformerPytorch010, IsMadeByName) {
  const auto args = golden("0.1.0").at("a").at("cfg");
  const nlohmann::json net{{"class", "linformer_pytorch.Linformer"}, {"args", args}};
  const nlohmann::json padder{{"class", "linformer_pytorch.Padder"}, {"version", "0.1.0"}, {"args", {{"net", net}}}};
  auto loaded = load_model(padder, "model.json");
  const TensorArguments inputs({{"x", at::zeros({2, 7, 8})}}, loaded.model->tensor_arguments(), "inputs");
  EXPECT_EQ(loaded.model->forward(inputs).front().second.sizes(), at::IntArrayRef({2, 7, 8}));
}

}  // namespace
}  // namespace perceive::models::linformer_pytorch
