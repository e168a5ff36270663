// perceiver-pytorch: names of parameters in every version, shared ones, initial draws, counts, and what gets gradients.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/rnn.h>

#include <functional>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>

#include "perceive/models/catalog.h"
#include "tests/models/perceiver_pytorch.h"
#include "tests/refusal.h"

namespace perceive::models::perceiver_pytorch {
namespace {

using testing::HasSubstr;

PerceiverConfig with_residual() {
  auto config = small_with_two_self();
  config.attn_residual = true;
  config.attn_residual_rank = 3;
  return config;
}
PerceiverIOConfig io_with_residual() {
  auto config = small_io();
  config.attn_residual = true;
  config.attn_residual_rank = 3;
  return config;
}

// The table of section 4.10.7, from 0.11.0 to the numbers before; rank of the residual's first weight aside.
io::Tensors numbered(const io::Tensors& tensors, bool of_io) {
  const std::vector<std::pair<std::regex, std::string>> rules{
      {std::regex("cross_attend_block\\.cross_attn\\."), "cross_attend_blocks.0."},
      {std::regex("cross_attend_block\\.cross_ff\\."), "cross_attend_blocks.1."},
      {std::regex("(layers\\.\\d+)\\.cross_attn\\."), "$1.0."},
      {std::regex("(layers\\.\\d+)\\.cross_ff\\."), "$1.1."},
      {std::regex("(layers\\.\\d+)\\.self_attns\\.(\\d+)\\.(\\d+)\\."), of_io ? "$1.$3." : "$1.2.$2.$3."},
      {std::regex("attn_residuals\\.(\\d+)\\."), of_io ? "layers.$1.2." : "layers.$1.3."}};
  io::Tensors result;
  for (const auto& [name, tensor] : tensors) {
    auto changed = name;
    for (const auto& [from, to] : rules) changed = std::regex_replace(changed, from, to);
    result.emplace(changed, tensor);
  }
  return result;
}

// 0.10.0 from 0.10.1: without the norm, whose place the matrices take.
io::Tensors without_norm(const io::Tensors& tensors) {
  io::Tensors result;
  for (const auto& [name, tensor] : tensors) {
    const auto dot = name.find("to_attn_logits.");
    if (dot == std::string::npos) {
      result.emplace(name, tensor);
    } else if (const char layer = name[dot + 15]; layer != '0') {
      auto changed = name;
      changed[dot + 15] = static_cast<char>(layer - 1);
      result.emplace(changed, tensor);
    }
  }
  return result;
}

std::set<std::string> names(const io::Tensors& tensors) {
  std::set<std::string> all;
  for (const auto& [name, tensor] : tensors) all.insert(name);
  return all;
}

// Every version's names are those of the table, and every version takes every version's weights.
template <class Model, class Config>
void expect_layouts(Config config, bool of_io, const std::function<at::Tensor(Model&)>& run) {
  auto model = filled<Model>(config);
  const auto state = io::named_tensors(*model), numbers = numbered(state, of_io);
  const auto expected = run(model);
  for (const auto version : {Version::v0_8_8, Version::v0_9_0, Version::v0_10_1, Version::v0_11_0}) {
    Model other(config, version);
    other->to(at::kDouble);
    other->eval();
    EXPECT_EQ(names(io::named_tensors(*other)), names(version == Version::v0_11_0 ? state : numbers));
    for (const auto& weights : {state, numbers}) {
      const at::NoGradGuard no_grad;
      for (auto& parameter : other->parameters()) parameter.zero_();
      other->load_state_dict(weights, "weights");
      EXPECT_TRUE(run(other).equal(expected));
    }
  }
  Model old(config, Version::v0_10_0);
  EXPECT_EQ(names(io::named_tensors(*old)), names(without_norm(numbers)));
  if (!config.attn_residual) return;
  EXPECT_THAT(refusal([&] { model->load_state_dict(without_norm(numbers), "old.safetensors"); }),
              HasSubstr("old.safetensors: the attention residual has no norm in these weights; make the model as"));
  EXPECT_THAT(refusal([&] { old->load_state_dict(state, "new.safetensors"); }), HasSubstr("has a norm"));
  old->to(at::kDouble);
  old->eval();
  old->load_state_dict(without_norm(numbers), "weights");
  EXPECT_FALSE(run(old).allclose(expected));
}

TEST(PerceiverPytorchWeights, LoadFromEveryVersion) {
  const std::function run = [](Perceiver& model) { return model->forward(image()); };
  expect_layouts(small_with_two_self(), false, run);
  expect_layouts(with_residual(), false, run);
  auto tied = with_residual();
  tied.depth = 3;
  tied.weight_tie_layers = true;
  expect_layouts(tied, false, run);
}

TEST(PerceiverPytorchWeights, LoadIntoPerceiverIOFromEveryVersion) {
  const std::function run = [](PerceiverIO& model) { return model->forward(sequence(), queries()); };
  expect_layouts(small_io(), true, run);
  expect_layouts(io_with_residual(), true, run);
  const std::function speak = [](PerceiverLM& model) { return model->forward(words()); };
  auto config = small_lm();
  expect_layouts(config, true, speak);
}

// make() of the class with weights at hand: names follow these, whatever version is asked for.
TEST(PerceiverPytorchWeights, DecideOnTheNamesOfAModel) {
  auto model = filled<Perceiver>(with_residual());
  const auto state = io::named_tensors(*model), numbers = numbered(state, false);
  const nlohmann::json arguments{{"num_freq_bands", 3},
                                 {"max_freq", 5},
                                 {"depth", 2},
                                 {"num_latents", 4},
                                 {"latent_dim", 16},
                                 {"cross_heads", 2},
                                 {"cross_dim_head", 4},
                                 {"latent_heads", 2},
                                 {"latent_dim_head", 8},
                                 {"num_classes", 5},
                                 {"self_per_cross_attn", 2},
                                 {"attn_residual", true},
                                 {"attn_residual_rank", 3}};
  for (const auto& weights : {state, numbers, without_norm(numbers)}) {
    for (const char* version : {"0.11.0", "0.10.1", "0.10.0"}) {
      const nlohmann::json spec{{"class", "perceiver_pytorch.Perceiver"}, {"version", version}, {"args", arguments}};
      const auto made = load_model(spec, "test", &weights, "weights").model;
      EXPECT_EQ(names(made->state_dict()), names(weights)) << version;
    }
  }
}

bool same(const torch::nn::Module& module, const std::string& a, const std::string& b) {
  const auto all = io::named_tensors(module);
  return all.at(a).is_same(all.at(b));
}

TEST(PerceiverPytorchWeights, AreSharedUnderEveryName) {
  auto config = with_residual();
  config.depth = 3;
  config.weight_tie_layers = true;
  const Perceiver model(config);
  for (const std::string part :
       {".cross_attn.fn.to_q.weight", ".cross_ff.norm.bias", ".self_attns.1.0.fn.to_kv.weight"}) {
    EXPECT_TRUE(same(*model, "layers.1" + part, "layers.2" + part));
    EXPECT_FALSE(same(*model, "layers.0" + part, "layers.1" + part));
  }
  EXPECT_TRUE(same(*model, "attn_residuals.1.to_attn_logits.0.weight", "attn_residuals.2.to_attn_logits.0.weight"));
  EXPECT_FALSE(same(*model, "layers.1.self_attns.0.0.fn.to_q.weight", "layers.1.self_attns.1.0.fn.to_q.weight"));
  auto io = io_with_residual();
  io.weight_tie_layers = true;
  const PerceiverIO shared(io, Version::v0_10_1);
  EXPECT_TRUE(same(*shared, "layers.0.0.fn.to_q.weight", "layers.1.0.fn.to_q.weight"));
  EXPECT_TRUE(same(*shared, "layers.0.2.to_attn_logits.2.weight", "layers.1.2.to_attn_logits.2.weight"));
}

// ---- Initial draws: torch's own layers, made in the order of the original after the same seed.

class Recreation {
 public:
  explicit Recreation(const torch::nn::Module& module) : state_(io::named_tensors(module)) { at::manual_seed(7); }
  ~Recreation() { EXPECT_EQ(state_.size(), seen_.size() + left_as_they_begin()); }
  void normal(const std::string& name) { expect(name, at::randn(state_.at(name).sizes())); }
  void linear(const std::string& name) {
    const auto weight = state_.at(name + ".weight");
    const bool bias = state_.count(name + ".bias") > 0;
    if (weight.dim() == 3) {
      const torch::nn::Conv1d layer(torch::nn::Conv1dOptions(weight.size(1), weight.size(0), 1));
      return expect_layer(name, *layer);
    }
    const torch::nn::Linear layer(torch::nn::LinearOptions(weight.size(1), weight.size(0)).bias(bias));
    expect_layer(name, *layer);
  }
  void gru(const std::string& name) {
    const int64_t width = state_.at(name + ".weight_hh").size(1);
    expect_layer(name, *torch::nn::GRUCell(width, width));
  }
  void attention(const std::string& name) {
    for (const char* part : {".fn.to_q", ".fn.to_kv", ".fn.to_out"}) linear(name + part);
  }
  void mlp(const std::string& name) {
    for (const char* part : {".fn.net.0", ".fn.net.2"}) linear(name + part);
  }

 private:
  void expect(const std::string& name, const at::Tensor& value) {
    EXPECT_TRUE(state_.at(name).equal(value)) << name;
    seen_.insert(name);
  }
  void expect_layer(const std::string& name, const torch::nn::Module& layer) {
    for (const auto& item : layer.named_parameters()) expect(name + "." + item.key(), item.value());
  }
  // Norms.
  size_t left_as_they_begin() const {
    size_t count = 0;
    for (const auto& [name, tensor] : state_) {
      if (seen_.count(name)) continue;
      const bool ones = tensor.dim() == 1 && tensor.eq(1).all().item<bool>() && name.ends_with(".weight");
      const bool zeros = tensor.dim() == 1 && tensor.eq(0).all().item<bool>() && name.ends_with(".bias");
      EXPECT_TRUE(ones || zeros) << name;
      ++count;
    }
    return count;
  }

  io::Tensors state_;
  std::set<std::string> seen_;
};

template <class Model, class... Args>
Model seeded(const Args&... args) {
  at::manual_seed(7);
  return Model(args...);
}

TEST(PerceiverPytorchDraws, FollowTheOrderOfPerceiver) {
  for (const auto version : {Version::v0_9_0, Version::v0_10_1, Version::v0_11_0}) {
    auto config = with_residual();
    config.attn_residual = version != Version::v0_9_0;
    const auto model = seeded<Perceiver>(config, version);
    Recreation r(*model);
    r.normal("latents");
    for (const std::string i : {"0", "1"}) {
      const bool words = version == Version::v0_11_0;
      const auto layer = "layers." + i;
      const auto cross = [&] {
        r.attention(layer + (words ? ".cross_attn" : ".0"));
        r.mlp(layer + (words ? ".cross_ff" : ".1"));
      };
      if (words) cross();
      for (const std::string j : {"0", "1"}) {
        r.attention(layer + (words ? ".self_attns." : ".2.") + j + ".0");
        r.mlp(layer + (words ? ".self_attns." : ".2.") + j + ".1");
      }
      if (!words) cross();
      const auto residual = (words ? "attn_residuals." + i : layer + ".3") + ".to_attn_logits.";
      if (config.attn_residual) r.linear(residual + "1");
      if (config.attn_residual) r.linear(residual + "2");
    }
    r.linear("to_logits.2");
  }
}

TEST(PerceiverPytorchDraws, AreMadeOnceForSharedWeights) {
  auto config = io_with_residual();
  config.weight_tie_layers = true;
  config.decoder_ff = true;
  config.logits_dim = 7;
  config.depth = 1;
  auto tied = config;
  tied.depth = 3;
  const auto one = io::named_tensors(*seeded<PerceiverIO>(config)),
             three = io::named_tensors(*seeded<PerceiverIO>(tied));
  for (const auto& [name, tensor] : one) EXPECT_TRUE(three.at(name).equal(tensor)) << name;
  const auto model = seeded<PerceiverIO>(config);
  Recreation r(*model);
  r.normal("latents");
  r.attention("cross_attend_block.cross_attn");
  r.mlp("cross_attend_block.cross_ff");
  r.attention("layers.0.self_attns.0.0");
  r.mlp("layers.0.self_attns.0.1");
  r.linear("attn_residuals.0.to_attn_logits.1");
  r.linear("attn_residuals.0.to_attn_logits.2");
  r.attention("decoder_cross_attn");
  r.mlp("decoder_ff");
  r.linear("to_logits");
}

TEST(PerceiverPytorchDraws, FollowTheOrderOfTheLanguageModel) {
  const auto model = seeded<PerceiverLM>(small_lm());
  Recreation r(*model);
  r.normal("token_emb.weight");
  r.normal("pos_emb.weight");
  r.normal("perceiver_io.latents");
  for (const char* part : {"cross_attend_block.cross_", "layers.0.self_attns.0."}) {
    const bool cross = std::string(part).ends_with('_');
    r.attention(std::string("perceiver_io.") + part + (cross ? "attn" : "0"));
    r.mlp(std::string("perceiver_io.") + part + (cross ? "ff" : "1"));
  }
  r.attention("perceiver_io.decoder_cross_attn");
  r.linear("perceiver_io.to_logits");
}

TEST(PerceiverPytorchDraws, FollowTheOrderOfTheVariants) {
  const auto gated = seeded<GatedPerceiver>(small<GatedConfig>());
  {
    Recreation r(*gated);
    r.normal("latents");
    for (const std::string layer : {"layers.0", "layers.1"}) {
      for (const auto& [reading, mlp] : {std::pair{".0", ".1.fn"}, {".2", ".3.fn"}}) {
        r.attention(layer + reading + ".fn");
        r.gru(layer + reading + ".gru");
        r.mlp(layer + mlp);
      }
    }
    r.linear("to_logits.1");
  }
  const auto mixed = seeded<MixedLatentsPerceiver>(small<MixedLatentsConfig>());
  {
    Recreation r(*mixed);
    r.normal("latents");
    for (const std::string layer : {"layers.0", "layers.1"}) {
      r.attention(layer + ".0");
      r.mlp(layer + ".1");
      r.linear(layer + ".2.fn.0");
      r.linear(layer + ".2.fn.3");
      r.mlp(layer + ".3");
    }
    r.linear("to_logits.1");
  }
  const auto experimental = seeded<ExperimentalPerceiver>(small<ExperimentalConfig>());
  Recreation r(*experimental);
  r.normal("latents");
  r.linear("data_proj");
  for (const std::string layer : {"layers.0", "layers.1"}) {
    for (const char* part : {".0", ".2"}) {
      r.attention(layer + part);
      r.mlp(layer + (part[1] == '0' ? ".1" : ".3"));
    }
    r.linear(layer + ".4.fn.to_qkv");
    r.linear(layer + ".4.fn.to_out.0");
    r.attention(layer + ".5");
    r.mlp(layer + ".6");
  }
  r.linear("to_logits.1");
}

// ---- Counts of sections 4.8 and 4.9.

int64_t count(const torch::nn::Module& module) {
  int64_t total = 0;
  for (const auto& parameter : io::distinct_parameters(module)) total += parameter.numel();
  return total;
}

TEST(PerceiverPytorchWeights, AreAsManyAsInTheOriginal) {
  PerceiverConfig cifar;
  cifar.num_freq_bands = 6;
  cifar.max_freq = 10;
  cifar.depth = 3;
  cifar.num_latents = 128;
  cifar.latent_dim = 128;
  cifar.latent_heads = 4;
  cifar.num_classes = 10;
  cifar.self_per_cross_attn = 2;
  EXPECT_EQ(count(*Perceiver(cifar)), 2650424);
  PerceiverIOConfig io;
  io.dim = 32;
  io.queries_dim = 32;
  io.logits_dim = 100;
  io.num_latents = 256;
  io.depth = 6;
  EXPECT_EQ(count(*PerceiverIO(io)), 28636548);
  io.attn_residual = true;
  EXPECT_EQ(count(*PerceiverIO(io)), 29032836);
  PerceiverLMConfig lm;
  lm.num_tokens = 20000;
  lm.dim = 32;
  lm.num_latents = 256;
  lm.depth = 6;
  lm.max_seq_len = 2048;
  EXPECT_EQ(count(*PerceiverLM(lm)), 29998784);
  BlockConfig block;
  block.dim = 96;
  block.queries_contribute_kv = true;
  EXPECT_EQ(count(*PerceiverBlock(block)), 445248);
}

// ---- Gradients, and what gets none.

std::set<std::string> without_gradient(const torch::nn::Module& module) {
  std::set<std::string> result;
  for (const auto& item : module.named_parameters()) {
    if (!item.value().grad().defined()) result.insert(item.key().substr(0, item.key().find('.', 10)));
  }
  return result;
}

TEST(PerceiverPytorchWeights, GetTheGradientsOfTheOriginal) {
  auto model = filled<Perceiver>(with_residual());
  model->forward(image()).square().sum().backward();
  EXPECT_THAT(without_gradient(*model), testing::IsEmpty());
  auto io = filled<PerceiverIO>(io_with_residual());
  io->forward(sequence()).square().sum().backward();
  EXPECT_THAT(without_gradient(*io), testing::ElementsAre("decoder_cross_attn"));
  io->forward(sequence(), queries()).square().sum().backward();
  EXPECT_THAT(without_gradient(*io), testing::IsEmpty());
  auto config = small<ExperimentalConfig>();
  config.fourier_encode_data = false;
  auto experimental = filled<ExperimentalPerceiver>(config);
  experimental->forward(image()).square().sum().backward();
  EXPECT_THAT(without_gradient(*experimental), testing::ElementsAre("layers.1.2", "layers.1.3", "layers.1.4"));
  auto gated = filled<GatedPerceiver>(small<GatedConfig>());
  gated->forward(image()).square().sum().backward();
  EXPECT_THAT(without_gradient(*gated), testing::IsEmpty());
}

}  // namespace
}  // namespace perceive::models::perceiver_pytorch
