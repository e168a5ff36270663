// Encoder and decoder of different sizes, and tokens generated one after the other.
#include "perceive/models/linformer_enc_dec.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <nlohmann/json.hpp>

#include "perceive/io/names.h"
#include "perceive/models/catalog.h"
#include "tests/refusal.h"

namespace perceive::models {
namespace {

using testing::HasSubstr;
using Method = nn::ProjectionMethod;

LinformerEncDecOptions small(Method method = Method::learned) {
  LinformerEncDecOptions options;
  options.encoder.vocabulary = 7;
  options.encoder.channels = 6;
  options.encoder.depth = 1;
  options.encoder.layer.attention.heads = 2;
  options.encoder.layer.attention.projection = {.length = 19, .projected = 5, .method = method};
  options.decoder.vocabulary = 11;
  options.decoder.channels = 8;
  options.decoder.layer.attention.heads = 4;
  options.decoder.layer.attention.projection = {.length = 13, .projected = 6, .method = method};
  options.decoder.layer.attention.block = 4;
  return options;
}

template <class Model, class Options>
Model make(const Options& options) {
  at::manual_seed(1);
  Model model(options);
  model->to(at::kDouble);
  model->eval();
  return model;
}

at::Tensor tokens(int64_t vocabulary, int64_t batch, int64_t length) {
  at::manual_seed(2);
  return at::randint(vocabulary, {batch, length}, at::kLong);
}
at::Tensor prefix(int64_t rows, std::vector<int64_t> lengths) {
  return at::arange(rows).unsqueeze(0).lt(at::tensor(lengths).unsqueeze(1));
}

TEST(LinformerEncDec, KnowsTheWholeSourceAndNothingOfLaterTokens) {
  for (const auto method : {Method::learned, Method::random, Method::convolution, Method::mean, Method::max}) {
    for (const bool full : {false, true}) {
      auto options = small(method);
      options.decoder.layer.attention.full_attention = full;
      auto model = make<LinformerEncDec>(options);
      const auto source = tokens(7, 2, 17), target = tokens(11, 2, 12);
      const auto before = model->forward(source, target);
      ASSERT_EQ(before.sizes(), at::IntArrayRef({2, 12, 11}));
      for (const int64_t i : {0, 3, 4, 9, 11}) {
        auto other = target.clone();
        other.narrow(1, i, 12 - i).add_(1).remainder_(11);
        const auto after = model->forward(source, other);
        EXPECT_TRUE(after.narrow(1, 0, i).equal(before.narrow(1, 0, i))) << i;
        EXPECT_FALSE(after.select(1, i).equal(before.select(1, i))) << i;
      }
      for (const int64_t i : {0, 16}) {
        auto other = source.clone();
        other.select(1, i).add_(1).remainder_(7);
        EXPECT_TRUE(model->forward(other, target).ne(before).any(2).all().item<bool>()) << i;
      }
    }
  }
}

TEST(LinformerEncDec, ReadsNothingThatIsMasked) {
  for (const auto method : {Method::learned, Method::random, Method::convolution, Method::mean, Method::max}) {
    auto model = make<LinformerEncDec>(small(method));
    const auto source = tokens(7, 2, 17), target = tokens(11, 2, 12);
    const auto source_mask = prefix(17, {8, 17}), target_mask = prefix(12, {12, 5});
    const auto before = model->forward(source, target, source_mask, target_mask);
    auto other = source.clone();
    other[0].narrow(0, 8, 9).add_(1).remainder_(7);
    EXPECT_TRUE(model->forward(other, target, source_mask, target_mask).equal(before));
    const auto alone = model->forward(source.narrow(1, 0, 8), target);
    EXPECT_TRUE(alone[0].allclose(before[0], 1e-10, 1e-10)) << static_cast<int>(method);
  }
}

TEST(LinformerEncDec, GivesEveryParameterTheSameGradientWithCheckpointing) {
  const auto gradients = [](bool checkpointing) {
    auto options = small();
    options.encoder.layer.attention.projection.sharing = nn::ProjectionSharing::layer;
    options.decoder.layer.activation_checkpointing = checkpointing;
    auto model = make<LinformerEncDec>(options);
    model->train();
    at::manual_seed(3);
    model->forward(tokens(7, 2, 17), tokens(11, 2, 12)).pow(2).sum().backward();
    std::vector<at::Tensor> all;
    double count = 0;
    for (const auto& parameter : io::distinct_parameters(*model)) {
      all.push_back(parameter.grad());
      count += static_cast<double>(parameter.numel());
    }
    EXPECT_EQ(count, parameter_count(options));
    return all;
  };
  const auto plain = gradients(false), again = gradients(true);
  for (size_t i = 0; i < plain.size(); ++i) {
    ASSERT_TRUE(plain[i].defined()) << i;
    EXPECT_TRUE(again[i].allclose(plain[i], 1e-9, 1e-11)) << i;
  }
}

TEST(Generate, IsOneForwardAfterTheOther) {
  auto model = make<LinformerEncDec>(small());
  const auto source = tokens(7, 3, 17), start = tokens(11, 3, 2), mask = prefix(17, {8, 17, 3});
  auto expected = start;
  for (int64_t i = 0; i < 11; ++i) {
    const auto logits = model->forward(source, expected, mask);
    expected = at::cat({expected, logits.select(1, -1).argmax(1, true)}, 1);
  }
  EXPECT_TRUE(model->generate(source, start, {.tokens = 11}, mask).equal(expected));

  auto lm = make<LinformerLM>(small().decoder);
  expected = start;
  for (int64_t i = 0; i < 9; ++i) {
    expected = at::cat({expected, lm->forward(expected).select(1, -1).argmax(1, true)}, 1);
  }
  EXPECT_TRUE(lm->generate(start, {.tokens = 9}).equal(expected));
  EXPECT_TRUE(lm->generate(start, {.tokens = 0}).equal(start));
}

TEST(Generate, EndsARowWithItsToken) {
  auto lm = make<LinformerLM>(small().decoder);
  const auto start = tokens(11, 4, 1);
  const auto free = lm->generate(start, {.tokens = 12});
  const int64_t end = free[0][4].item<int64_t>();
  const auto ended = lm->generate(start, {.tokens = 12, .end = end});
  for (int64_t b = 0; b < 4; ++b) {
    bool over = false;
    for (int64_t i = 1; i < ended.size(1); ++i) {
      EXPECT_EQ(ended[b][i].item<int64_t>(), over ? end : free[b][i].item<int64_t>());
      over = over || ended[b][i].item<int64_t>() == end;
    }
  }
  EXPECT_LE(lm->generate(start.narrow(0, 0, 1), {.tokens = 12, .end = end}).size(1), 5);
}

TEST(Generate, DrawsBySeedTemperatureAndRank) {
  const auto logits = at::tensor({1.0, 3.0, 2.0, -1.0}).log_softmax(0).expand({20000, 4});
  const auto next = [&](const at::Tensor&) { return logits; };
  const auto start = at::zeros({20000, 1}, at::kLong);
  const auto drawn = [&](const GenerateOptions& options) { return generate(next, start, 5, 4, options).select(1, 1); };
  const auto shares = [](const at::Tensor& ids) { return at::bincount(ids, {}, 4).to(at::kDouble) / 20000; };
  const auto expected = [&](double temperature) { return (logits[0].to(at::kDouble) / temperature).softmax(0); };
  EXPECT_TRUE(drawn({.tokens = 1}).eq(1).all().item<bool>());
  for (const double temperature : {0.5, 1.0, 3.0}) {
    const GenerateOptions options{.tokens = 1, .temperature = temperature, .seed = 7};
    EXPECT_TRUE(shares(drawn(options)).allclose(expected(temperature), 0, 0.02)) << temperature;
    EXPECT_TRUE(drawn(options).equal(drawn(options)));
  }
  EXPECT_FALSE(drawn({.tokens = 1, .temperature = 1, .seed = 7}).equal(drawn({.tokens = 1, .temperature = 1})));
  EXPECT_TRUE(drawn({.tokens = 1, .temperature = 2, .top_k = 1}).eq(1).all().item<bool>());
  const auto two = shares(drawn({.tokens = 1, .temperature = 1, .top_k = 2}));
  EXPECT_EQ(two[0].item<double>() + two[3].item<double>(), 0);
  EXPECT_NEAR(two[2].item<double>(), 1 / (1 + std::exp(1.0)), 0.02);
}

TEST(Generate, IsAskedForByAFlag) {
  const nlohmann::json description{
      {"class", "perceive.LinformerEncDec"},
      {"args", {{"encoder", {{"vocabulary", 7}, {"length", 19}}}, {"decoder", {{"vocabulary", 11}, {"length", 13}}}}},
      {"args_forward", {{"generate", {{"tokens", 5}}}}}};
  auto loaded = load_model(description, "test");
  const TensorArguments arguments({{"source", tokens(7, 2, 17)}, {"target", tokens(11, 2, 3)}},
                                  loaded.model->tensor_arguments(), "test");
  const auto output = loaded.model->forward(arguments).front().second;
  EXPECT_EQ(output.sizes(), at::IntArrayRef({2, 8}));
}

TEST(Generate, RefusesWhatDoesNotFit) {
  auto lm = make<LinformerLM>(small().decoder);
  const auto start = tokens(11, 1, 3);
  const auto of = [&](const GenerateOptions& options) { return refusal([&] { lm->generate(start, options); }); };
  EXPECT_THAT(of({.tokens = 11}), HasSubstr("a prompt of 3 and 11 tokens more exceed the length of the model, 13"));
  EXPECT_THAT(of({.tokens = -1}), HasSubstr("tokens must be at least 0; got -1"));
  EXPECT_THAT(of({.tokens = 1, .temperature = -1}), HasSubstr("temperature must be a finite number and at least 0"));
  EXPECT_THAT(of({.tokens = 1, .top_k = 0}), HasSubstr("top_k must be at least 1; got 0"));
  EXPECT_THAT(of({.tokens = 1, .end = 11}), HasSubstr("end must be one of the tokens 0 … 10; got 11"));
  EXPECT_THAT(refusal([&] { lm->generate(start.narrow(1, 0, 0), {}); }), HasSubstr("n at least 1; got [1, 0]"));
  auto options = small();
  auto whole = options.decoder;
  whole.layer.attention.causal = false;
  whole.layer.attention.block = std::nullopt;
  EXPECT_THAT(refusal([&] { make<LinformerLM>(whole)->generate(start, {}); }), HasSubstr("must be causal"));
  options.decoder = whole;
  EXPECT_THAT(refusal([&] { LinformerEncDec wrong(options); }), HasSubstr("decoder.causal must be true"));
  auto model = make<LinformerEncDec>(small());
  EXPECT_THAT(refusal([&] { model->forward(tokens(7, 2, 5), start); }), HasSubstr("got [2, 5] and [1, 3]"));
  EXPECT_THAT(refusal([&] { model->forward(tokens(7, 1, 20), start); }), HasSubstr("longer than max_length, 19"));
  options = small();
  options.encoder.layer.attention.heads = 5;
  EXPECT_THAT(refusal([&] { LinformerEncDec wrong(options); }), HasSubstr("encoder.heads"));
}

}  // namespace
}  // namespace perceive::models
