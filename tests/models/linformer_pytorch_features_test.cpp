// linformer-pytorch 0.19.3: formulas, names, sharing, initial weights, checkpoint levels and refusals.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <limits>
#include <map>
#include <set>

#include "perceive/models/catalog.h"
#include "perceive/models/dialects/linformer_pytorch/linformer_lm.h"
#include "perceive/models/dialects/linformer_pytorch/padder.h"
#include "tests/models/linformer_pytorch.h"
#include "tests/models/linformer_pytorch_0_19.h"
#include "tests/refusal.h"

namespace perceive::models::linformer_pytorch {
namespace {

using testing::HasSubstr;

// Section 2 in plain formulas, a head at a time, of an encoder without masks.
class Formula {
 public:
  Formula(const torch::nn::Module& model, LinformerConfig config) : config_(std::move(config)) {
    for (const auto& [name, tensor] : state_of(model)) state_[name] = tensor;
  }
  at::Tensor operator()(at::Tensor x) {
    for (int64_t t = 0; t < config_.depth * (config_.include_ff ? 2 : 1); ++t) {
      const auto part = "seq." + std::to_string(t) + ".", fn = part + "fn.";
      const bool attention = !config_.include_ff || t % 2 == 0;
      const auto y = attention ? attend(x, fn) : linear(activate(linear(x, fn + "w_1")), fn + "w_2");
      if (state_.count(part + "resample.weight")) x = linear(x, part + "resample");
      x = at::layer_norm(x + y, {x.size(2)}, state_[part + "norm.weight"], state_[part + "norm.bias"]);
    }
    return x;
  }

 private:
  at::Tensor linear(const at::Tensor& x, const std::string& name) {
    return at::linear(x, state_.at(name + ".weight"),
                      state_.count(name + ".bias") ? state_[name + ".bias"] : at::Tensor());
  }
  at::Tensor activate(const at::Tensor& x) { return config_.activation == "relu" ? at::relu(x) : at::gelu(x); }
  at::Tensor project(const at::Tensor& x, const std::string& name) {
    if (config_.full_attention) return x;
    const auto rows = x.transpose(1, 2);
    if (config_.method == "no_params") return at::matmul(rows, state_.at(name)).transpose(1, 2);
    if (config_.method == "learnable") return linear(rows, name).transpose(1, 2);
    const auto& weight = state_.at(name + ".weight");
    return at::conv1d(rows, weight, state_.at(name + ".bias"), weight.size(2)).transpose(1, 2);
  }
  at::Tensor attend(const at::Tensor& x, const std::string& fn) {
    std::vector<at::Tensor> heads;
    for (int64_t j = 0; j < config_.nhead; ++j) {
      const auto number = std::to_string(j);
      const auto q = linear(x, fn + "to_q." + number);
      const auto k = project(linear(x, fn + "to_k." + number), fn + "heads." + number + ".E");
      const auto v = project(linear(x, fn + "to_v." + number), fn + "heads." + number + ".F");
      auto scores = at::matmul(q, k.mT()) / std::sqrt(static_cast<double>(q.size(2)));
      if (config_.causal) {
        const auto seen = at::ones({scores.size(1), scores.size(2)}, at::kBool).tril();
        scores = scores.masked_fill(seen.logical_not(), -std::numeric_limits<double>::infinity());
      }
      heads.push_back(at::matmul(at::softmax(scores, -1), v));
    }
    const auto all = at::cat(heads, -1);
    return config_.w_o_intermediate_dim ? linear(linear(all, fn + "w_o_1"), fn + "w_o_2") : linear(all, fn + "w_o");
  }

  LinformerConfig config_;
  std::map<std::string, at::Tensor> state_;
};

TEST(LinformerPytorch, IsTheFormulaWithItsGradients) {
  const std::vector<nlohmann::json> all{
      {{"parameter_sharing", "none"}, {"dim_d", 3}, {"dim_k", 11}},
      {{"parameter_sharing", "headwise"}, {"full_attention", true}, {"causal", true}},
      {{"parameter_sharing", "kv"}, {"method", "convolution"}, {"dim_k", 5}, {"w_o_intermediate_dim", 3}},
      {{"parameter_sharing", "none"}, {"method", "convolution"}, {"dim_k", 13}, {"activation", "relu"}},
      {{"parameter_sharing", "none"}, {"method", "no_params"}, {"ff_intermediate", 10}, {"depth", 3}},
      {{"method", "no_params"}, {"causal", true}},
      {{"input_size", 1}, {"dim_k", 1}, {"include_ff", false}},
      {{"input_size", 67}, {"channels", 9}, {"nhead", 3}, {"dim_k", 1}},
      {{"input_size", 3000}, {"dim_d", 128}, {"dim_ff", 256}, {"causal", true}},  // several blocks of rows
  };
  for (const auto& changes : all) {
    SCOPED_TRACE(changes.dump());
    const auto config = config_of(changes);
    Linformer model(config);
    fill(*model);
    const auto x = golden_input({2, *config.input_size, *config.channels}).requires_grad_();
    const auto gradients = [&](const at::Tensor& output) {
      auto leaves = io::distinct_parameters(*model);
      leaves.push_back(x);
      return torch::autograd::grad({output}, leaves, {golden_cotangent(output)}, std::nullopt, false, true);
    };
    const auto actual = model->forward(x), expected = Formula(*model, config)(x);
    EXPECT_TRUE(at::allclose(actual, expected, 1e-9, 1e-9));
    const auto found = gradients(actual), wanted = gradients(expected);
    for (size_t i = 0; i < wanted.size(); ++i) {
      ASSERT_EQ(found[i].defined(), wanted[i].defined()) << i;
      if (wanted[i].defined()) {
        EXPECT_TRUE(at::allclose(found[i], wanted[i], 1e-8, 1e-8)) << i;
      }
    }
  }
}

// They keep their history there, too.
TEST(LinformerPytorch, GivesWeightsThatTrain) {
  for (const bool full : {false, true}) {
    for (const bool causal : {false, true}) {
      Linformer model(config_of({{"depth", 1}, {"nhead", 1}, {"full_attention", full}, {"causal", causal}}));
      fill(*model);
      const auto x = golden_input({2, 13, 8}).requires_grad_();
      std::vector<at::Tensor> weights;
      Extras extras;
      extras.weights = &weights;
      model->forward(x, extras);
      ASSERT_EQ(weights.size(), 1U);
      const auto p = model->named_parameters();
      const auto q = at::linear(x, p["seq.0.fn.to_q.0.weight"]);
      auto k = at::linear(x, p["seq.0.fn.to_k.0.weight"]).transpose(1, 2);
      if (!full) k = at::linear(k, p["seq.0.fn.heads.0.E.weight"], p["seq.0.fn.heads.0.E.bias"]);
      auto scores = at::matmul(q, k) / std::sqrt(8.0);
      if (causal) {
        scores = scores.masked_fill(at::ones_like(scores).tril().eq(0), -std::numeric_limits<double>::infinity());
      }
      const auto expected = scores.softmax(-1).unsqueeze(1);
      EXPECT_TRUE(weights[0].allclose(expected, 1e-10, 1e-12));
      const auto found = torch::autograd::grad({weights[0]}, {x}, {golden_cotangent(expected)});
      const auto wanted = torch::autograd::grad({expected}, {x}, {golden_cotangent(expected)});
      EXPECT_TRUE(found[0].allclose(wanted[0], 1e-9, 1e-10)) << full << causal;
    }
  }
}

std::vector<at::Tensor> gradients(nlohmann::json changes, const char* level, bool training) {
  changes["checkpoint_level"] = level;
  Linformer model(config_of(changes));
  fill(*model);
  model->train(training);
  at::manual_seed(3);
  const auto output = model->forward(golden_input({2, changes.value("input_size", 13), 8}));
  (output * golden_cotangent(output)).sum().backward();
  std::vector<at::Tensor> all{output.detach()};
  for (const auto& parameter : io::distinct_parameters(*model)) all.push_back(parameter.grad());
  return all;
}

// With an input that needs no gradient, of which the original's C1 and C2 give none at all.
TEST(LinformerPytorch, GivesTheSameGradientsAtEveryCheckpointLevel) {
  for (const char* sharing : {"layerwise", "none", "kv"}) {
    for (const bool training : {false, true}) {
      nlohmann::json changes{{"parameter_sharing", sharing}, {"causal", training}};
      if (std::string(sharing) == "kv") changes.update({{"input_size", 3000}, {"dim_d", 128}, {"dim_ff", 256}});
      const auto expected = gradients(changes, "C0", training);
      for (const char* level : {"C1", "C2"}) {
        const auto actual = gradients(changes, level, training);
        ASSERT_EQ(actual.size(), expected.size());
        for (size_t i = 0; i < expected.size(); ++i) {
          EXPECT_TRUE(at::allclose(actual[i], expected[i], 1e-10, 1e-12)) << sharing << " " << level << " " << i;
        }
      }
    }
  }
}

TEST(LinformerPytorch, SharesProjectionsUnderEveryName) {
  for (const auto& [sharing, distinct] : {std::pair{"none", 8}, {"headwise", 4}, {"kv", 2}, {"layerwise", 1}}) {
    for (const char* method : {"learnable", "no_params"}) {
      Linformer model(config_of({{"parameter_sharing", sharing}, {"method", method}}));
      std::set<const void*> tensors;
      int names = 0;
      for (const auto& [name, tensor] : state_of(*model)) {
        if (name.find("heads.") == std::string::npos || name.ends_with("bias")) continue;
        tensors.insert(tensor.unsafeGetTensorImpl());
        ++names;
      }
      EXPECT_EQ(names, 8);
      EXPECT_EQ(tensors.size(), static_cast<size_t>(distinct)) << sharing << " " << method;
    }
  }
}

TEST(LinformerPytorch, HasTheNamesOfTheOriginal) {
  LinformerLM model(lm_config_of({{"emb_dim", 6}, {"w_o_intermediate_dim", 3}}));
  std::vector<std::string> names;
  for (const auto& [name, tensor] : state_of(*model)) names.push_back(name);
  const std::string attention = "linformer.fn.seq.0.fn.", ff = "linformer.fn.seq.1.";
  EXPECT_THAT(names, testing::ElementsAre(
                         "to_token_emb.weight", "pos_emb.inv_freq", attention + "heads.0.E.weight",
                         attention + "heads.0.E.bias", attention + "heads.0.F.weight", attention + "heads.0.F.bias",
                         attention + "heads.1.E.weight", attention + "heads.1.E.bias", attention + "heads.1.F.weight",
                         attention + "heads.1.F.bias", attention + "to_q.0.weight", attention + "to_q.1.weight",
                         attention + "to_k.0.weight", attention + "to_k.1.weight", attention + "to_v.0.weight",
                         attention + "to_v.1.weight", attention + "w_o_1.weight", attention + "w_o_1.bias",
                         attention + "w_o_2.weight", attention + "w_o_2.bias", "linformer.fn.seq.0.norm.weight",
                         "linformer.fn.seq.0.norm.bias", ff + "fn.w_1.weight", ff + "fn.w_1.bias", ff + "fn.w_2.weight",
                         ff + "fn.w_2.bias", ff + "norm.weight", ff + "norm.bias", "linformer.project_in.weight",
                         "linformer.project_in.bias", "linformer.project_out.weight", "linformer.project_out.bias",
                         "to_logits.weight", "to_logits.bias"));
}

TEST(LinformerPytorch, HasAsManyParametersAsTheOriginal) {
  LinformerLMConfig config;
  core::assign_json(
      config,
      {{"num_tokens", 10000}, {"input_size", 512}, {"channels", 64}, {"dim_k", 128}, {"dim_ff", 128}, {"emb_dim", 128}},
      "README");
  int64_t count = 0;
  for (const auto& parameter : io::distinct_parameters(*LinformerLM(config))) count += parameter.numel();
  EXPECT_EQ(count, 2718800);
}

TEST(LinformerPytorch, DrawsTheWeightsOfTheOriginal) {
  struct Draw {
    nlohmann::json changes;
    std::map<std::string, float> first;
  };
  const std::string head = "seq.0.fn.heads.1.", to_v = "seq.0.fn.to_v.1.weight";
  const std::vector<Draw> all{
      {{{"parameter_sharing", "none"}},
       {{head + "F.weight", 0.253690839F},
        {head + "F.bias", 0.155009016F},
        {to_v, 0.0590775721F},
        {"seq.3.fn.w_2.bias", 0.117715597F}}},
      {{{"parameter_sharing", "headwise"}, {"method", "convolution"}, {"include_ff", false}},
       {{head + "F.weight", -0.0273900777F},
        {head + "F.bias", 0.0304185376F},
        {to_v, -0.0948894545F},
        {"seq.1.fn.w_o.bias", 0.0657798946F}}},
      {{{"parameter_sharing", "kv"}, {"decoder_mode", true}},
       {{head + "F.weight", 0.0207430143F},
        {head + "F.bias", -0.217869103F},
        {to_v, -0.206531942F},
        {"seq.7.fn.w_2.bias", 0.0596034825F}}},
      {{{"parameter_sharing", "layerwise"}},
       {{head + "F.weight", 0.339401156F},
        {head + "F.bias", -0.0571946502F},
        {to_v, 0.268496335F},
        {"seq.3.fn.w_2.bias", 0.101168066F}}},
      {{{"parameter_sharing", "none"}, {"method", "no_params"}, {"ff_intermediate", 10}},
       {{head + "F", 0.0505147092F}, {"seq.3.resample.weight", -0.222597197F}}},
  };
  const auto expect = [](const torch::nn::Module& module, const std::map<std::string, float>& first) {
    std::map<std::string, at::Tensor> state;
    for (const auto& [name, tensor] : state_of(module)) state[name] = tensor;
    for (const auto& [name, value] : first) EXPECT_FLOAT_EQ(state.at(name).flatten()[0].item<float>(), value) << name;
  };
  for (const auto& draw : all) {
    SCOPED_TRACE(draw.changes.dump());
    at::manual_seed(5);
    expect(*Linformer(config_of(draw.changes)), draw.first);
  }
  LinformerEncDecConfig config;
  for (auto* side : {&config.enc, &config.dec}) {
    side->num_tokens = side == &config.enc ? 11 : 9;
    side->input_size = 13;
    side->channels = 8;
  }
  config.dec.emb_dim = 6;
  at::manual_seed(5);
  expect(*LinformerEncDec(config), {{"encoder.to_token_emb.weight", 1.84232986F},
                                    {"decoder.linformer.project_out.bias", -0.257600218F},
                                    {"decoder.to_logits.weight", -0.300328285F}});
}

nlohmann::json described(const std::string& name, const nlohmann::json& args) {
  return {{"class", "linformer_pytorch." + name}, {"args", args}};
}
nlohmann::json base_args(const nlohmann::json& changes = nlohmann::json::object()) {
  nlohmann::json args{{"input_size", 13}, {"channels", 8}, {"dim_k", 4}, {"nhead", 2}};
  args.update(changes);
  return args;
}

TEST(LinformerPytorch, TakesMatricesThatAStateDictLeavesOut) {
  const auto description = described("Linformer", base_args({{"method", "no_params"}}));
  auto made = load_model(description, "model.json");
  auto weights = made.model->state_dict();
  EXPECT_EQ(weights.count("seq.0.fn.heads.0.E"), 0U);
  const auto without = load_model(description, "model.json", &weights, "weights");
  EXPECT_THAT(without.notices, testing::ElementsAre(HasSubstr("drawn at random")));
  const auto matrix = golden_input({13, 4}).to(at::kFloat);
  weights["seq.0.fn.heads.1.F"] = matrix;
  const auto with = load_model(description, "model.json", &weights, "weights");
  EXPECT_TRUE(with.notices.empty());
  EXPECT_TRUE(with.model->module().named_buffers()["seq.0.fn.heads.0.E"].equal(matrix));
}

TEST(LinformerPytorch, GivesConvolutionsABiasWhateverIsAsked) {
  const EF convolution(EFConfig{.input_size = 13, .dim = 4, .method = "convolution", .head_dim = 3, .bias = false});
  EXPECT_TRUE(convolution.projection().bias.defined());
  const EF matrix(EFConfig{.input_size = 13, .dim = 4, .bias = false});
  EXPECT_FALSE(matrix.projection().bias.defined());
}

TEST(LinformerPytorch, MakesAttentionByName) {
  const nlohmann::json ef{{"input_size", 13}, {"dim", 4}};
  const nlohmann::json args{
      {"input_size", 13}, {"dim", 3},     {"channels", 8},       {"dim_k", 4},     {"nhead", 2},
      {"E_proj", ef},     {"F_proj", ef}, {"causal_mask", true}, {"dropout", 0.1}, {"checkpoint_level", "C0"}};
  auto made = load_model(described("MHAttention", args), "model.json");
  auto weights = made.model->state_dict();
  EXPECT_FALSE(weights.at("heads.0.E.weight").is_same(weights.at("heads.0.F.weight")));
  const TensorArguments inputs({{"x", golden_input({2, 13, 8}).to(at::kFloat)}}, made.model->tensor_arguments(), "in");
  const auto causal = made.model->forward(inputs).front().second;
  auto plain = args;
  plain.erase("causal_mask");
  weights["heads.0.causal_mask"] = at::ones({13, 4}).tril();
  auto given = load_model(described("MHAttention", plain), "model.json", &weights, "weights");
  EXPECT_TRUE(given.model->forward(inputs).front().second.equal(causal));
  weights.erase("heads.0.causal_mask");
  auto unmasked = load_model(described("MHAttention", plain), "model.json", &weights, "weights");
  EXPECT_FALSE(at::allclose(unmasked.model->forward(inputs).front().second, causal));
}

at::Tensor output_of(RunnableModel& model, const io::Tensors& inputs) {
  return model.forward(TensorArguments(inputs, model.tensor_arguments(), "in")).front().second;
}

TEST(LinformerPytorch, MakesAHeadByName) {
  const nlohmann::json ef{{"input_size", 7}, {"dim", 4}};
  const nlohmann::json args{{"dim", 3}, {"dropout", 0.1}, {"E_proj", ef}, {"F_proj", ef}, {"causal_mask", true}};
  auto description = described("LinearAttentionHead", args);
  description["args_forward"] = {{"visualize", true}};
  auto head = load_model(description, "model.json");
  const auto weights = head.model->state_dict();
  ASSERT_EQ(weights.size(), 4U);
  const auto make = [](double phase) { return golden_input({2, 7, 3}, phase).to(at::kFloat); };
  const auto q = make(0.1), k = make(0.5), v = make(0.9);
  const auto seen = at::arange(7).lt(5).unsqueeze(0), asking = at::arange(7).ge(1).unsqueeze(0);
  const io::Tensors inputs{{"Q", q}, {"K", k}, {"V", v}, {"input_mask", seen}, {"embeddings_mask", asking}};
  const auto outputs = head.model->forward(TensorArguments(inputs, head.model->tensor_arguments(), "in"));

  const auto project = [&](const at::Tensor& x, const std::string& name) {
    const auto rows = (x * seen.unsqueeze(2)).mT();
    return at::linear(rows, weights.at(name + ".weight"), weights.at(name + ".bias")).mT();
  };
  const auto scores = at::matmul(q * asking.unsqueeze(2), project(k, "E").mT()) / std::sqrt(3.0);
  const auto later = at::ones({7, 4}, at::kBool).tril().logical_not();
  const auto p = scores.masked_fill(later, -std::numeric_limits<double>::infinity()).softmax(-1);
  EXPECT_TRUE(at::allclose(outputs.at(0).second, at::matmul(p, project(v, "F")), 1e-5, 1e-6));
  EXPECT_EQ(outputs.at(1).first, "P_bar.0");
  EXPECT_TRUE(at::allclose(outputs.at(1).second.squeeze(1), p, 1e-5, 1e-6));

  auto full = load_model(described("LinearAttentionHead", {{"dim", 3}, {"full_attention", true}}), "model.json");
  EXPECT_TRUE(at::allclose(output_of(*full.model, {{"Q", q}, {"K", k}, {"V", v}}),
                           at::matmul((at::matmul(q, k.mT()) / std::sqrt(3.0)).softmax(-1), v), 1e-5, 1e-6));
  EXPECT_THAT(refusal([] {
                load_model(described("LinearAttentionHead", {{"dim", 3}}), "model.json");
              }),
              HasSubstr("E_proj is missing"));
}

TEST(LinformerPytorch, MakesPartsByName) {
  const auto x = golden_input({2, 5, 3}).to(at::kFloat);
  const nlohmann::json args{{"input_channels", 3}, {"output_channels", 2}, {"ff_dim", 4}, {"activation", "tanh"}};
  auto feed_forward = load_model(described("FeedForward", args), "model.json");
  auto w = feed_forward.model->state_dict();
  const auto hidden = at::linear(x, w.at("w_1.weight"), w.at("w_1.bias"));
  EXPECT_TRUE(at::allclose(output_of(*feed_forward.model, {{"tensor", x}}),
                           at::linear(hidden, w.at("w_2.weight"), w.at("w_2.bias")), 1e-5, 1e-6));
  // Of an odd number of channels one more comes out, there too.
  auto places = load_model(described("PositionalEmbedding", {{"channels", 3}}), "model.json");
  EXPECT_EQ(places.model->state_dict().at("inv_freq").sizes(), at::IntArrayRef({2}));
  EXPECT_EQ(output_of(*places.model, {{"tensor", x}}).sizes(), at::IntArrayRef({1, 5, 4}));

  const auto rows = x.mT();
  nlohmann::json ef{{"input_size", 5}, {"dim", 2}, {"head_dim", 3}};
  auto learned = load_model(described("get_EF", ef), "model.json");
  w = learned.model->state_dict();
  EXPECT_TRUE(at::allclose(output_of(*learned.model, {{"input", rows}}), at::linear(rows, w.at("weight"), w.at("bias")),
                           1e-5, 1e-6));
  ef["method"] = "convolution";
  auto windows = load_model(described("get_EF", ef), "model.json");
  w = windows.model->state_dict();
  EXPECT_TRUE(output_of(*windows.model, {{"input", rows}}).equal(at::conv1d(rows, w.at("weight"), w.at("bias"), 2)));
  ef["method"] = "no_params";
  w = {{"E", golden_input({5, 2}).to(at::kFloat)}};
  auto matrix = load_model(described("get_EF", ef), "model.json", &w, "weights");
  EXPECT_TRUE(matrix.model->state_dict().empty());
  EXPECT_TRUE(at::allclose(output_of(*matrix.model, {{"input", rows}}), at::matmul(rows, w.at("E")), 1e-5, 1e-6));
}

// load_state_dict() copies each name's value there, in the order of the state_dict.
TEST(LinformerPytorch, KeepsTheLastOfASharedTensorsValues) {
  const auto description = described("Linformer", base_args({{"depth", 2}}));
  auto weights = load_model(description, "model.json").model->state_dict();
  const std::string first = "seq.0.fn.heads.0.E.weight", last = "seq.2.fn.heads.1.F.weight";
  weights[first] = at::ones({4, 13});
  weights[last] = golden_input({4, 13}).to(at::kFloat);
  const auto made = load_model(description, "model.json", &weights, "weights");
  EXPECT_TRUE(made.model->module().named_parameters()[first].equal(weights[last]));
  EXPECT_THAT(made.notices, testing::ElementsAre(HasSubstr(first + ": differs from " + last)));
  weights[first] = at::ones({3, 13});
  EXPECT_THAT(refusal([&] { load_model(description, "model.json", &weights, "weights"); }),
              HasSubstr(first + ": expected [4, 13], found [3, 13]"));
}

TEST(LinformerPytorch, TakesMasksOfOneRow) {
  Linformer model(config_of({}));
  model->eval();
  const auto x = golden_input({2, 13, 8}).to(at::kFloat);
  Extras one, both;
  one.input_mask = prefixes({9});
  both.input_mask = prefixes({9, 9});
  EXPECT_TRUE(model->forward(x, one).equal(model->forward(x, both)));
}

TEST(LinformerPytorch, TakesTheCausalMaskOfEveryAttention) {
  const auto causal = load_model(described("LinformerLM", base_args({{"num_tokens", 11}, {"causal", true}})), "made");
  auto weights = causal.model->state_dict();
  const io::Tensors inputs{{"tensor", tokens()}};
  for (const auto* const name : {"seq.0.fn.heads.0", "seq.0.fn.heads.1", "seq.0.fn", "seq.2.fn.heads.0"}) {
    weights["linformer." + std::string(name) + ".causal_mask"] = at::ones({13, 4}).tril();
  }
  const auto description = described("LinformerLM", base_args({{"num_tokens", 11}}));
  const auto masked = load_model(description, "model.json", &weights, "weights");
  causal.model->module().eval();
  EXPECT_TRUE(at::allclose(output_of(*masked.model, inputs), output_of(*causal.model, inputs), 1e-5, 1e-6));
  weights["linformer.seq.1.fn.causal_mask"] = at::ones({13, 4});  // of a feed-forward part
  EXPECT_THAT(refusal([&] { load_model(description, "model.json", &weights, "weights"); }),
              HasSubstr("unexpected (1):\n    linformer.seq.1.fn.causal_mask"));
}

TEST(LinformerPytorch, GivesTheWeightsOfEveryAttention) {
  for (const bool full : {false, true}) {
    nlohmann::json description = described("Linformer", base_args({{"full_attention", full}, {"depth", 2}}));
    description["args_forward"] = {{"visualize", true}};
    auto made = load_model(description, "model.json");
    const TensorArguments inputs({{"x", golden_input({2, 13, 8}).to(at::kFloat)}}, made.model->tensor_arguments(), "");
    const auto outputs = made.model->forward(inputs);
    ASSERT_EQ(outputs.size(), 3U);
    EXPECT_EQ(outputs[2].first, "P_bar.1");
    EXPECT_EQ(outputs[2].second.sizes(), at::IntArrayRef({2, 2, 13, full ? 13 : 4}));
    EXPECT_TRUE(at::allclose(outputs[2].second.sum(-1), at::ones({2, 2, 13})));
  }
}

TEST(LinformerPytorch, RefusesAsTheOriginal) {
  const auto made = [](const nlohmann::json& changes) { return refusal([&] { Linformer model(config_of(changes)); }); };
  EXPECT_THAT(made({{"activation", "tanh"}}), HasSubstr("Only gelu and relu activations supported for now"));
  EXPECT_THAT(made({{"checkpoint_level", "C3"}}), HasSubstr("Checkpoint level has to be either C0, C1, or C2"));
  EXPECT_THAT(made({{"parameter_sharing", "some"}}), HasSubstr("flag has to be either 'none', 'headwise', 'kv', or"));
  EXPECT_THAT(made({{"method", "mean"}}), HasSubstr("either 'learnable', 'convolution', or 'no_params'!"));
  EXPECT_THAT(made({{"nhead", 3}}), HasSubstr("`channels` must be divisible by `nhead`!"));
  EXPECT_THAT(made({{"ff_intermediate", 9}}), HasSubstr("must not be layerwise if ff_intermediate is enabled!"));
  EXPECT_THAT(made({{"ff_intermediate", 9}, {"parameter_sharing", "kv"}, {"decoder_mode", true}}),
              HasSubstr("Raising the dimension in the middle cannot be done in the decoder!"));
  EXPECT_THAT(made({{"ff_intermediate", 9}, {"parameter_sharing", "kv"}, {"include_ff", false}}),
              HasSubstr("ff_intermediate: without include_ff"));
  EXPECT_THAT(made({{"method", "convolution"}, {"dim_k", 14}}), HasSubstr("dim_k must be at most input_size"));
  LinformerConfig nothing;
  EXPECT_THAT(refusal([&] { Linformer model(nothing); }), HasSubstr("input_size is missing"));
}

TEST(LinformerPytorch, RefusesInputsAsTheOriginal) {
  const auto x = golden_input({2, 13, 8}).to(at::kFloat);
  const auto run = [](const nlohmann::json& changes, const at::Tensor& input, const Extras& extras = {}) {
    return refusal([&] { Linformer(config_of(changes))->forward(input, extras); });
  };
  Extras masked, decoding, wrong, misshapen;
  masked.input_mask = prefixes({9, 13});
  decoding.embeddings = x;
  wrong.embeddings = x.narrow(1, 0, 12);
  misshapen.input_mask = prefixes({9, 13}).narrow(1, 0, 9);
  EXPECT_THAT(run({}, x.narrow(1, 0, 12)), HasSubstr("Dimension 1 has to match the `input_size` flag"));
  EXPECT_THAT(run({}, x.narrow(2, 0, 7)), HasSubstr("Dimension 2 has to match the `channels` flag"));
  EXPECT_THAT(run({{"checkpoint_level", "C1"}}, x, masked), HasSubstr("Cannot run checkpointing when using kwargs"));
  EXPECT_THAT(run({}, x, decoding), HasSubstr("needs to be initialized with `decoder_mode=True`"));
  EXPECT_THAT(run({{"decoder_mode", true}}, x), HasSubstr("Embeddings must be supplied if decoding"));
  EXPECT_THAT(run({{"decoder_mode", true}}, x, wrong), HasSubstr("Embeddings size must be the same as the input"));
  EXPECT_THAT(run({}, x, misshapen),
              HasSubstr("input_mask: expected bool [2, 13], or 1 in place of either; got Bool [2, 9]"));
  EXPECT_THAT(run({{"causal", true}, {"k_reduce_by_layer", 1}, {"parameter_sharing", "kv"}}, x),
              HasSubstr("k_reduce_by_layer must be 0 with causal"));
  MHAttention attention(
      MHAttentionOptions{
          .input_size = 13, .dim = 4, .channels = 8, .dim_k = 4, .nhead = 2, .parameter_sharing = ParameterSharing::kv},
      EF(), EF());
  attention->set_causal_mask(at::ones({12, 4}, at::kBool));
  EXPECT_THAT(refusal([&] { attention->forward(x); }), HasSubstr("causal_mask: expected bool [13, 4]; got [12, 4]"));
  LinformerLM lm(lm_config_of({}));
  EXPECT_THAT(refusal([&] { lm->forward(tokens().add(1)); }), HasSubstr("there is no token 11; num_tokens is 11"));
  EXPECT_THAT(refusal([&] { LinformerLM odd(lm_config_of({{"emb_dim", 5}})); }), HasSubstr("even number of channels"));
}

}  // namespace
}  // namespace perceive::models::linformer_pytorch
