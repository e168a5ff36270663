// The native Linformer: what a row may know, masks, sharing, sizes and refusals.
#include "perceive/models/linformer.h"

#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "perceive/io/names.h"
#include "perceive/models/catalog.h"
#include "tests/refusal.h"

namespace perceive::models {
namespace {

using testing::HasSubstr;
using Method = nn::ProjectionMethod;
using Sharing = nn::ProjectionSharing;

constexpr Method kMethods[] = {Method::learned, Method::random, Method::convolution, Method::mean, Method::max};

LinformerLMOptions small(Method method = Method::learned) {
  LinformerLMOptions options;
  options.vocabulary = 11;
  options.channels = 8;
  options.layer.attention.heads = 2;
  options.layer.attention.projection.length = 15;
  options.layer.attention.projection.projected = 6;
  options.layer.attention.projection.method = method;
  return options;
}
LinformerLMOptions causal(Method method) {
  auto options = small(method);
  options.layer.attention.causal = true;
  options.layer.attention.block = 5;
  return options;
}

template <class Model, class Options>
Model make(const Options& options) {
  at::manual_seed(1);
  Model model(options);
  model->to(at::kDouble);
  return model;
}

at::Tensor tokens(int64_t batch, int64_t length) {
  at::manual_seed(2);
  return at::randint(11, {batch, length}, at::kLong);
}
at::Tensor prefix(int64_t rows, std::vector<int64_t> lengths) {
  return at::arange(rows).unsqueeze(0).lt(at::tensor(lengths).unsqueeze(1));
}

TEST(LinformerLM, KnowsNothingOfLaterTokens) {
  for (const auto method : kMethods) {
    for (const bool full : {false, true}) {
      auto options = causal(method);
      options.layer.attention.full_attention = full;
      auto model = make<LinformerLM>(options);
      const auto ids = tokens(2, 14);
      const auto before = model->forward(ids);
      for (int64_t i = 0; i < 14; ++i) {
        auto other = ids.clone();
        other.narrow(1, i, 14 - i).add_(1).remainder_(11);
        const auto after = model->forward(other);
        EXPECT_TRUE(after.narrow(1, 0, i).equal(before.narrow(1, 0, i))) << i;
        EXPECT_FALSE(after.select(1, i).equal(before.select(1, i))) << i;
        EXPECT_TRUE(model->forward(ids.narrow(1, 0, i + 1)).allclose(before.narrow(1, 0, i + 1), 1e-10, 1e-10)) << i;
      }
    }
  }
}

TEST(Linformer, GivesLaterRowsNoGradient) {
  for (const auto method : kMethods) {
    auto model = make<Linformer>(static_cast<LinformerOptions>(causal(method)));
    const auto x = at::randn({1, 14, 8}, at::kDouble).requires_grad_();
    const auto y = model->forward(x);
    for (const int64_t i : {0, 4, 5, 9, 12}) {
      const auto known = torch::autograd::grad({y.select(1, i).pow(3).sum()}, {x}, {}, true)[0];
      EXPECT_TRUE(known.narrow(1, i + 1, 13 - i).eq(0).all().item<bool>()) << i;
      EXPECT_TRUE(known.narrow(1, 0, i + 1).ne(0).any(2).all().item<bool>()) << i << static_cast<int>(method);
    }
  }
}

// What is masked may hold anything, NaN too, and reaches neither the other rows nor any gradient.
TEST(Linformer, ReadsNothingThatIsMasked) {
  for (const auto method : kMethods) {
    for (const bool is_causal : {false, true}) {
      auto model = make<Linformer>(static_cast<LinformerOptions>(is_causal ? causal(method) : small(method)));
      const auto mask = prefix(12, {7, 12});
      const auto run = [&](double behind) {
        model->zero_grad();
        at::manual_seed(3);
        const auto x = at::randn({2, 12, 8}, at::kDouble);
        x[0].narrow(0, 7, 5).fill_(behind);
        const auto y = model->forward(x, mask);
        std::vector<at::Tensor> all{y.index({mask}).detach()};
        y.index({mask}).pow(3).sum().backward();
        for (const auto& parameter : io::distinct_parameters(*model)) all.push_back(parameter.grad());
        all.push_back(model->forward(x.narrow(1, 0, 7)).narrow(0, 0, 1));
        return all;
      };
      const auto zeros = run(0), nothing = run(std::numeric_limits<double>::quiet_NaN());
      for (size_t i = 0; i + 1 < zeros.size(); ++i) {
        ASSERT_EQ(zeros[i].defined(), nothing[i].defined());
        if (zeros[i].defined()) {
          EXPECT_TRUE(zeros[i].equal(nothing[i])) << static_cast<int>(method) << i;
        }
      }
      EXPECT_TRUE(zeros.front().narrow(0, 0, 7).allclose(zeros.back()[0], 1e-10, 1e-10)) << static_cast<int>(method);
    }
  }
}

// A window a row, or a matrix that keeps every row, is exact attention.
TEST(Linformer, IsExactAttentionWhereNothingIsProjected) {
  for (const auto method : {Method::learned, Method::convolution, Method::mean, Method::max}) {
    auto options = static_cast<LinformerOptions>(small(method));
    options.layer.attention.projection.projected = options.layer.attention.projection.length;
    auto projected = make<Linformer>(options);
    options.layer.attention.full_attention = true;
    auto exact = make<Linformer>(options);
    auto tensors = io::named_tensors(*projected);
    for (auto next = tensors.begin(); next != tensors.end();) {
      if (next->first.find(".projection.") == std::string::npos) {
        ++next;
        continue;
      }
      const at::NoGradGuard no_grad;
      auto& identity = next->second;
      identity.zero_();
      if (identity.dim() == 3) identity[0].fill_diagonal_(1);
      if (identity.dim() == 4) identity[0].select(2, 0).fill_diagonal_(1);
      next = tensors.erase(next);
    }
    io::load_into(*exact, tensors, "the projected model");
    const auto x = at::randn({2, 15, 8}, at::kDouble);
    const auto mask = prefix(15, {9, 15});
    const auto a = projected->forward(x, method == Method::learned ? at::Tensor() : mask);
    const auto b = exact->forward(x, method == Method::learned ? at::Tensor() : mask);
    EXPECT_TRUE(a.allclose(b, 1e-9, 1e-9)) << static_cast<int>(method);
  }
}

TEST(Linformer, SharesProjections) {
  for (const auto& [sharing, matrices] :
       {std::pair{Sharing::none, 8}, {Sharing::heads, 4}, {Sharing::key_value, 2}, {Sharing::layer, 1}}) {
    for (const auto method : {Method::learned, Method::random, Method::convolution}) {
      auto options = static_cast<LinformerOptions>(small(method));
      options.layer.attention.projection.sharing = sharing;
      const Linformer model(options);
      int64_t count = 0, parameters = 0;
      for (const auto& [name, tensor] : io::distinct_tensors(*model)) {
        if (name.find(".projection.") != std::string::npos) count += tensor.size(0);
        if (tensor.requires_grad()) parameters += tensor.numel();
      }
      EXPECT_EQ(count, matrices);
      if (method != Method::random) {
        EXPECT_EQ(static_cast<double>(parameters), parameter_count(options));
      }
    }
  }
}

TEST(LinformerLM, MayTieItsOutput) {
  for (const bool tied : {false, true}) {
    auto options = small();
    options.tied_output = tied;
    auto model = make<LinformerLM>(options);
    double count = 0;
    for (const auto& parameter : io::distinct_parameters(*model)) count += static_cast<double>(parameter.numel());
    EXPECT_EQ(count, parameter_count(options));
    const auto logits = model->forward(tokens(2, 9), prefix(9, {4, 9}));
    EXPECT_EQ(logits.sizes(), at::IntArrayRef({2, 9, 11}));
    logits.square().mean().backward();
    for (const auto& parameter : io::distinct_parameters(*model)) EXPECT_TRUE(parameter.grad().defined());
  }
}

TEST(LinformerLM, GivesTheSameGradientsWithCheckpointing) {
  const auto gradients = [](bool checkpointing) {
    auto options = causal(Method::learned);
    options.layer.activation_checkpointing = checkpointing;
    options.layer.attention.projection.sharing = Sharing::layer;
    options.layer.attention.dropout = options.layer.residual_dropout = 0.2;
    auto model = make<LinformerLM>(options);
    at::manual_seed(5);
    model->forward(tokens(2, 15), prefix(15, {8, 15})).pow(2).sum().backward();
    std::vector<at::Tensor> all;
    for (const auto& parameter : io::distinct_parameters(*model)) all.push_back(parameter.grad());
    return all;
  };
  const auto plain = gradients(false), again = gradients(true);
  for (size_t i = 0; i < plain.size(); ++i) EXPECT_TRUE(again[i].allclose(plain[i], 1e-9, 1e-11)) << i;
}

TEST(LinformerLM, TrainsInBfloat16) {
  const auto gradients = [](const LinformerLMOptions& options, bool lowered) {
    at::manual_seed(1);
    LinformerLM model(options);
    at::autocast::set_autocast_enabled(at::kCPU, lowered);
    at::autocast::set_autocast_dtype(at::kCPU, at::kBFloat16);
    const auto logits = model->forward(tokens(2, 14), prefix(14, {8, 14})).to(at::kFloat);
    at::autocast::set_autocast_enabled(at::kCPU, false);
    at::autocast::clear_cache();
    logits.logsumexp(2).mean().backward();
    std::vector<at::Tensor> all{logits.detach()};
    for (const auto& parameter : io::distinct_parameters(*model)) all.push_back(parameter.grad());
    return all;
  };
  for (const auto method : kMethods) {
    for (const bool is_causal : {false, true}) {
      const auto options = is_causal ? causal(method) : small(method);
      const auto exact = gradients(options, false), lowered = gradients(options, true);
      for (size_t i = 0; i < exact.size(); ++i) {
        const double off = (lowered[i] - exact[i]).norm().item<double>();
        EXPECT_LT(off, 0.05 * exact[i].norm().item<double>() + 1e-4) << static_cast<int>(method) << is_causal << i;
      }
    }
  }
}

TEST(Linformer, IsMadeByName) {
  const nlohmann::json linformer{{"class", "perceive.Linformer"},
                                 {"args", {{"channels", 8}, {"heads", 2}, {"length", 20}, {"method", "max"}}}};
  auto loaded = load_model(linformer, "test");
  const TensorArguments x({{"x", at::randn({2, 7, 8})}, {"mask", prefix(7, {3, 7})}}, loaded.model->tensor_arguments(),
                          "test");
  EXPECT_EQ(loaded.model->forward(x).front().second.sizes(), at::IntArrayRef({2, 7, 8}));
  const nlohmann::json lm{{"class", "perceive.LinformerLM"},
                          {"args", {{"vocabulary", 11}, {"channels", 8}, {"causal", true}, {"tied_output", true}}}};
  loaded = load_model(lm, "test");
  const TensorArguments ids({{"x", tokens(2, 7)}}, loaded.model->tensor_arguments(), "test");
  EXPECT_EQ(loaded.model->forward(ids).front().second.sizes(), at::IntArrayRef({2, 7, 11}));
}

TEST(Linformer, RefusesWhatDoesNotFit) {
  auto model = make<Linformer>(static_cast<LinformerOptions>(small()));
  EXPECT_THAT(refusal([&] {
                model->forward(at::zeros({1, 16, 8}));
              }),
              HasSubstr("expected x [B, n, 8] with n up to 15; got [1, 16, 8]"));
  EXPECT_THAT(refusal([&] {
                model->forward(at::zeros({1, 5, 8}), at::ones({1, 5}));
              }),
              HasSubstr("mask: expected bool [1, 5], true where a row counts; got Float [1, 5]"));
  auto lm = make<LinformerLM>(small());
  EXPECT_THAT(refusal([&] { lm->forward(tokens(1, 16)); }), HasSubstr("longer than max_length, 15"));
  EXPECT_THAT(refusal([&] { lm->forward(tokens(1, 3).add(11)); }), HasSubstr("is not among the ids 0 … 10"));
  auto options = small();
  options.depth = 0;
  EXPECT_THAT(refusal([&] { LinformerLM wrong(options); }), HasSubstr("depth"));
  options = small();
  options.layer.attention.projection.length = int64_t{1} << 50;
  EXPECT_THAT(refusal([&] { LinformerLM wrong(options); }), HasSubstr("parameters"));
}

}  // namespace
}  // namespace perceive::models
