// linformer 0.2.3: the original's numbers, names and initial weights, formulas with their gradients, refusals. Weights
// and inputs of the golden values are made by the rule of linformer-pytorch's.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "perceive/core/config.h"
#include "perceive/io/names.h"
#include "perceive/models/catalog.h"
#include "perceive/models/dialects/linformer/linformer.h"
#include "tests/models/linformer_pytorch.h"
#include "tests/refusal.h"

namespace perceive::models::linformer {
namespace {

using linformer_pytorch::expect_golden;
using linformer_pytorch::fill;
using linformer_pytorch::golden_cotangent;
using linformer_pytorch::golden_input;
using linformer_pytorch::state_of;
using testing::HasSubstr;

template <class Config>
Config config_of(const nlohmann::json& changes) {
  nlohmann::json args{{"dim", 8}, {"seq_len", 13}, {"k", 4}, {"heads", 2}};
  if constexpr (std::is_base_of_v<LinformerConfig, Config>) args["depth"] = 2;
  if constexpr (std::is_base_of_v<LinformerLMConfig, Config>) args["num_tokens"] = 11;
  args.update(changes);
  Config config;
  core::assign_json(config, args, "args");
  return config;
}

LinformerSelfAttention attention_of(const nlohmann::json& changes = nlohmann::json::object()) {
  return LinformerSelfAttention(config_of<LinformerSelfAttentionConfig>(changes));
}
Linformer linformer_of(const nlohmann::json& changes = nlohmann::json::object()) {
  return Linformer(config_of<LinformerConfig>(changes));
}
LinformerLM lm_of(const nlohmann::json& changes = nlohmann::json::object()) {
  return LinformerLM(config_of<LinformerLMConfig>(changes));
}

at::Tensor tokens() {
  return at::arange(26).mul(7).remainder(11).view({2, 13});
}

// ---- Golden values

nlohmann::json golden(const std::string& name) {
  std::ifstream file(PERCEIVE_ROOT "/tests/golden/linformer_0.2.3.json");
  return nlohmann::json::parse(file).at(name);
}

void expect_golden_attention(const std::string& name, const nlohmann::json& changes) {
  auto model = attention_of(changes);
  fill(*model);
  expect_golden(model->forward(golden_input({2, 13, 8})), golden(name).at("out"));
  expect_golden(model->forward(golden_input({2, 5, 8})), golden(name).at("short"));
}

TEST(LinformerDialectGolden, sa_plain) {
  expect_golden_attention("sa_plain", nlohmann::json::object());
}
TEST(LinformerDialectGolden, sa_one_kv) {
  expect_golden_attention("sa_one_kv", {{"one_kv_head", true}});
}
TEST(LinformerDialectGolden, sa_share) {
  expect_golden_attention("sa_share", {{"share_kv", true}});
}
TEST(LinformerDialectGolden, sa_dimhead6) {
  expect_golden_attention("sa_dimhead6", {{"dim_head", 6}});
}
TEST(LinformerDialectGolden, lm_rev0) {
  auto model = lm_of();
  fill(*model);
  expect_golden(model->forward(tokens()), golden("lm_rev0").at("out"));
}
TEST(LinformerDialectGolden, lm_rev1) {
  auto model = lm_of({{"reversible", true}});
  fill(*model);
  expect_golden(model->forward(tokens()), golden("lm_rev1").at("out"));
}

// ---- Formulas

// The layers in plain formulas; `f` and `g` are the two parts of a layer.
class Formula {
 public:
  Formula(const torch::nn::Module& model, const LinformerSelfAttentionConfig& config) : config_(config) {
    for (const auto& [name, tensor] : state_of(model)) state_[name] = tensor;
  }
  at::Tensor attend(const at::Tensor& x, const at::Tensor& context, const std::string& at) const {
    const auto heads = [&](const at::Tensor& y) {
      return y.unflatten(2, {-1, config_.head_channels()}).transpose(1, 2);
    };
    const auto projected = [&](const std::string& name) {
      const auto rows = state_.at(at + "proj_" + name).slice(0, 0, context.size(1));
      return heads(at::matmul(rows.t(), linear(context, at + "to_" + name)));
    };
    const auto q = heads(linear(x, at + "to_q")), k = projected("k");
    const auto v = config_.share_kv ? k : projected("v");
    const auto weights = (at::matmul(q, k.mT()) / std::sqrt(static_cast<double>(q.size(3)))).softmax(-1);
    return linear(at::matmul(weights, v).transpose(1, 2).flatten(2), at + "to_out");
  }
  at::Tensor layers(const at::Tensor& x, const LinformerConfig& config) const {
    auto y1 = x, y2 = x;
    for (int64_t i = 0; i < config.depth; ++i) {
      const auto layer = (config.reversible ? "net.blocks." : "net.layers.") + std::to_string(i);
      const auto f = layer + (config.reversible ? ".f.net." : ".0."),
                 g = layer + (config.reversible ? ".g.net." : ".1.");
      const auto read = normed(y2, f);
      y1 = y1 + attend(read, read, f + "fn.");
      y2 = (config.reversible ? y2 : y1) + linear(at::gelu(linear(normed(y1, g), g + "fn.w1")), g + "fn.w2");
      if (!config.reversible) y1 = y2;
    }
    return config.reversible ? y1 + y2 : y1;
  }

 private:
  at::Tensor linear(const at::Tensor& x, const std::string& name) const {
    const auto bias = state_.find(name + ".bias");
    return at::linear(x, state_.at(name + ".weight"), bias == state_.end() ? at::Tensor() : bias->second);
  }
  at::Tensor normed(const at::Tensor& x, const std::string& part) const {
    return at::layer_norm(x, {x.size(2)}, state_.at(part + "norm.weight"), state_.at(part + "norm.bias"));
  }

  LinformerSelfAttentionConfig config_;
  std::map<std::string, at::Tensor> state_;
};

// Outputs, and gradients of `inputs` and of all parameters.
void expect_same(const at::Tensor& actual, const at::Tensor& expected, const torch::nn::Module& model,
                 std::vector<at::Tensor> leaves) {
  EXPECT_TRUE(at::allclose(actual, expected, 1e-9, 1e-9));
  for (const auto& parameter : model.parameters()) leaves.push_back(parameter);
  const auto found = torch::autograd::grad({actual}, leaves, {golden_cotangent(actual)});
  const auto wanted = torch::autograd::grad({expected}, leaves, {golden_cotangent(expected)});
  for (size_t i = 0; i < leaves.size(); ++i) EXPECT_TRUE(at::allclose(found[i], wanted[i], 1e-8, 1e-8)) << i;
}

const std::vector<nlohmann::json> kHeads{
    nlohmann::json::object(),
    {{"one_kv_head", true}, {"dim_head", 3}},
    {{"share_kv", true}, {"k", 31}},
    {{"one_kv_head", true}, {"share_kv", true}, {"heads", 8}},
    {{"seq_len", 700}, {"k", 200}},  // the length is projected in tiles
    {{"seq_len", 1}, {"k", 1}, {"heads", 1}},
};

TEST(LinformerSelfAttention, IsTheFormulaWithItsGradients) {
  for (const auto& changes : kHeads) {
    SCOPED_TRACE(changes.dump());
    const auto config = config_of<LinformerSelfAttentionConfig>(changes);
    LinformerSelfAttention model(config);
    fill(*model);
    const Formula formula(*model, config);
    for (const int64_t rows : {config.seq_len, (config.seq_len + 1) / 2}) {
      const auto x = golden_input({2, rows, 8}).requires_grad_();
      expect_same(model->forward(x), formula.attend(x, x, ""), *model, {x});
      const auto queries = golden_input({2, 17, 8}, 0.9).requires_grad_();
      expect_same(model->forward(queries, x), formula.attend(queries, x, ""), *model, {queries, x});
    }
  }
}

// Of softmax over equal scores nothing is left but the bias: the projected rows are zeros.
TEST(LinformerSelfAttention, GivesTheBiasForAContextWithoutRows) {
  auto model = attention_of();
  fill(*model);
  const auto output = model->forward(golden_input({2, 3, 8}), at::zeros({2, 0, 8}, at::kDouble));
  EXPECT_TRUE(output.allclose(model->named_parameters()["to_out.bias"].expand_as(output)));
}

TEST(LinformerDialect, IsTheFormulaWithItsGradients) {
  for (const bool reversible : {false, true}) {
    for (auto changes : kHeads) {
      changes.update({{"reversible", reversible}, {"depth", 2}});
      SCOPED_TRACE(changes.dump());
      const auto config = config_of<LinformerConfig>(changes);
      Linformer model(config);
      fill(*model);
      const auto x = golden_input({2, (config.seq_len + 1) / 2, 8}).requires_grad_();
      expect_same(model->forward(x), Formula(*model, config).layers(x, config), *model, {x});
    }
  }
}

// ---- Training

TEST(LinformerDialect, DropsTheSameInTheBackwardPass) {
  auto model = linformer_of({{"reversible", true}, {"dropout", 0.3}});
  fill(*model);
  model->train();
  const auto x = golden_input({2, 13, 8}), direction = golden_input({2, 13, 8}, 0.2);
  const auto loss = [&](const at::Tensor& given) {
    at::manual_seed(4);
    const auto output = model->forward(given);
    return (output * golden_cotangent(output)).sum();
  };
  const auto leaf = x.clone().requires_grad_();
  const auto value = loss(leaf);
  const auto after = at::rand({1}).item<double>();
  value.backward();
  constexpr double kStep = 1e-6;
  const at::NoGradGuard no_grad;
  const auto slope = (loss(x + kStep * direction) - loss(x - kStep * direction)) / (2 * kStep);
  EXPECT_NEAR((leaf.grad() * direction).sum().item<double>(), slope.item<double>(), 1e-6);
  EXPECT_EQ(at::rand({1}).item<double>(), after);  // the generator goes on where the forward pass left it
  model->eval();
  EXPECT_NE(loss(x).item<double>(), value.item<double>());
}

// In the original a reversible model has no gradients then.
TEST(LinformerDialect, TrainsReversiblyForAnInputWithoutGradient) {
  auto model = linformer_of({{"reversible", true}});
  model->forward(at::randn({2, 13, 8})).sum().backward();
  for (const auto& item : model->named_parameters()) EXPECT_TRUE(item.value().grad().defined()) << item.key();
}

// ---- Names and initial weights

std::vector<std::string> names_of(const torch::nn::Module& module) {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : state_of(module)) names.push_back(name);
  return names;
}

TEST(LinformerDialect, HasTheNamesOfTheOriginal) {
  const auto expected = [](const std::string& f, const std::string& g, bool own_values) {
    std::vector<std::string> names{"token_emb.weight", "pos_emb.weight", f + "fn.proj_k"};
    if (own_values) names.push_back(f + "fn.proj_v");
    names.insert(names.end(), {f + "fn.to_q.weight", f + "fn.to_k.weight"});
    if (own_values) names.push_back(f + "fn.to_v.weight");
    for (const auto& name : {f + "fn.to_out", f + "norm", g + "fn.w1", g + "fn.w2", g + "norm"}) {
      names.insert(names.end(), {name + ".weight", name + ".bias"});
    }
    names.insert(names.end(), {"to_logits.weight", "to_logits.bias"});
    return names;
  };
  EXPECT_EQ(names_of(*lm_of({{"depth", 1}})), expected("linformer.net.layers.0.0.", "linformer.net.layers.0.1.", true));
  EXPECT_EQ(names_of(*lm_of({{"depth", 1}, {"reversible", true}, {"share_kv", true}})),
            expected("linformer.net.blocks.0.f.net.", "linformer.net.blocks.0.g.net.", false));
}

// After torch.manual_seed(3) in Python.
TEST(LinformerDialect, StartsFromTheWeightsOfTheSameSeedInPython) {
  for (const bool reversible : {false, true}) {
    at::manual_seed(3);
    auto model = lm_of({{"reversible", reversible}});
    const auto p = model->named_parameters();
    const std::string layer = reversible ? "linformer.net.blocks.1." : "linformer.net.layers.1.";
    const std::string f = layer + (reversible ? "f.net.fn." : "0.fn."),
                      g = layer + (reversible ? "g.net.fn." : "1.fn.");
    for (const auto& [name, first, sum] : {std::tuple{std::string("token_emb.weight"), -0.07664429, 5.82920953},
                                           {"pos_emb.weight", 0.66229397, 7.90782330},
                                           {f + "proj_k", -0.42904240, -0.84579140},
                                           {f + "proj_v", 0.19002098, 0.87412018},
                                           {f + "to_v.weight", -0.11430175, 3.18167631},
                                           {g + "w2.bias", 0.04586066, 0.14399349},
                                           {"to_logits.bias", -0.02439961, 0.75287362}}) {
      EXPECT_NEAR(p[name].flatten()[0].item<double>(), first, 1e-8) << name;
      EXPECT_NEAR(p[name].to(at::kDouble).sum().item<double>(), sum, 1e-6) << name;
    }
  }
}

// ---- By names

TEST(LinformerDialectClasses, RunByName) {
  auto attention = attention_of();
  fill(*attention);
  const auto weights = io::named_tensors(*attention);
  const auto loaded = load_model(
      {{"class", "linformer.LinformerSelfAttention"}, {"args", {{"dim", 8}, {"seq_len", 13}, {"k", 4}, {"heads", 2}}}},
      "M.json", &weights, "W");
  const auto x = golden_input({2, 13, 8}), context = golden_input({2, 5, 8}, 0.9);
  const auto run = [&](const io::Tensors& given) {
    return loaded.model->forward(TensorArguments(given, loaded.model->tensor_arguments(), "IN")).at(0).second;
  };
  EXPECT_TRUE(at::equal(run({{"x", x}}), attention->forward(x)));
  EXPECT_TRUE(at::equal(run({{"x", x}, {"context", context}}), attention->forward(x, context)));
  for (const char* name : {"linformer.Linformer", "linformer.LinformerLM"}) {
    EXPECT_EQ(find_class(name).versions, std::vector<std::string>{"0.2.3"});
  }
}

// ---- Refusals

TEST(LinformerDialect, NamesWhatItRefuses) {
  const auto args = [](const nlohmann::json& changes) { return refusal([&] { lm_of(changes); }); };
  EXPECT_THAT(args({{"heads", 3}, {"dim_head", 4}}), HasSubstr("dim must be divisible by heads; got 8 channels for 3"));
  EXPECT_THAT(args({{"dim", 0}}), HasSubstr("dim must be at least 1; got 0"));
  EXPECT_THAT(args({{"seq_len", 0}}), HasSubstr("seq_len must be at least 1; got 0"));
  EXPECT_THAT(args({{"k", 0}}), HasSubstr("k must be at least 1; got 0"));
  EXPECT_THAT(args({{"dim_head", 0}}), HasSubstr("dim_head must be at least 1; got 0"));
  EXPECT_THAT(args({{"depth", 0}}), HasSubstr("depth must be at least 1; got 0"));
  EXPECT_THAT(args({{"num_tokens", 0}}), HasSubstr("num_tokens must be at least 1; got 0"));
  EXPECT_THAT(args({{"dropout", 1.0}}), HasSubstr("dropout is a probability and must be in [0, 1); got 1"));

  auto attention = attention_of();
  const auto attend = [&](at::IntArrayRef x, const at::Tensor& context = {}) {
    return refusal([&] { attention->forward(at::zeros(x), context); });
  };
  EXPECT_THAT(attend({13, 8}), HasSubstr("expected x [B, n, 8]; got [13, 8]"));
  EXPECT_THAT(attend({2, 13, 7}), HasSubstr("expected x [B, n, 8]; got [2, 13, 7]"));
  EXPECT_THAT(attend({2, 14, 8}), HasSubstr("seq_len = 13 rows, and keys and values can have no more; got 14 in x"));
  EXPECT_THAT(attend({2, 20, 8}, at::zeros({2, 14, 8})), HasSubstr("got 14 in context [2, 14, 8]"));
  EXPECT_THAT(attend({2, 5, 8}, at::zeros({1, 5, 8})), HasSubstr("expected context [2, m, 8]; got [1, 5, 8]"));
  EXPECT_EQ(attend({2, 20, 8}, at::zeros({2, 13, 8})), "accepted");

  EXPECT_THAT(refusal([] {
                linformer_of()->forward(at::zeros({2, 14, 8}));
              }),
              HasSubstr("Linformer: expected x [B, n, 8] with n up to seq_len = 13; got [2, 14, 8]"));
  const auto read = [](const at::Tensor& ids) { return refusal([&] { lm_of()->forward(ids); }); };
  EXPECT_THAT(read(at::zeros({2, 14}, at::kLong)), HasSubstr("[B, n] with n up to seq_len = 13; got Long [2, 14]"));
  EXPECT_THAT(read(at::zeros({13}, at::kLong)), HasSubstr("got Long [13]"));
  EXPECT_THAT(read(at::zeros({2, 13})), HasSubstr("got Float [2, 13]"));
  EXPECT_THAT(read(at::full({2, 13}, 11)), HasSubstr("there is no token 11; num_tokens is 11"));
  EXPECT_THAT(read(at::full({2, 13}, -1)), HasSubstr("there is no token -1"));
  EXPECT_EQ(read(at::zeros({2, 4}, at::kInt)), "accepted");
}

}  // namespace
}  // namespace perceive::models::linformer
