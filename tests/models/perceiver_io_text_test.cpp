// The text models of perceiver-io 0.2.1: the original's numbers, names, initial weights and refusals.
#include "tests/models/perceiver_io_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "perceive/io/names.h"
#include "perceive/models/catalog.h"
#include "perceive/models/dialects/perceiver_io/masked_lm.h"
#include "perceive/models/dialects/perceiver_io/text_classifier.h"
#include "tests/models/perceiver_io_golden.h"
#include "tests/refusal.h"

namespace perceive::models::perceiver_io {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using Numbers = std::vector<double>;

const std::string kGolden = "golden_0.2.1.json";

void expect_near(const at::Tensor& actual, const nlohmann::json& expected) {
  const auto numbers = at::tensor(expected.get<Numbers>(), at::kDouble);
  EXPECT_TRUE(at::allclose(actual.detach().flatten().to(at::kDouble), numbers, 1e-5, 1e-5)) << actual << expected;
}

void expect_masked_lm(bool tied, const char* key) {
  const auto expected = golden(kGolden).at(key);
  const auto config = small_masked_lm(tied);
  MaskedLM model(config);
  EXPECT_EQ(distinct_count(*model), expected.at("params").get<int64_t>());
  EXPECT_EQ(parameter_count(native_options(config)), expected.at("params").get<double>());
  fill(*model);
  model->eval();
  const auto logits = model->forward(text_ids(), text_padding());
  ASSERT_EQ(logits.sizes(), at::IntArrayRef({2, 7, 23}));
  expect_near(logits[0][0], expected.at("logits_row0"));
  if (expected.contains("logits_1_6")) expect_near(logits[1][6], expected.at("logits_1_6"));
  EXPECT_NEAR(logits.to(at::kDouble).sum().item<double>(), expected.at("sum").get<double>(), 1e-4);
}

TEST(MaskedLM, GivesTheLogitsOfMlmUntied) {
  const auto expected = golden(kGolden).at("mlm_untied");
  std::vector<int64_t> ids;
  for (const auto& row : expected.at("x")) {
    for (const auto& id : row) ids.push_back(id.get<int64_t>());
  }
  EXPECT_TRUE(at::equal(text_ids().flatten(), at::tensor(ids)));
  expect_masked_lm(false, "mlm_untied");
}

TEST(MaskedLM, GivesTheLogitsOfMlmTied) {
  expect_masked_lm(true, "mlm_tied");
}

TEST(TextClassifier, GivesTheLogitsOfTxtclf) {
  TextClassifier model(small_classifier());
  EXPECT_EQ(distinct_count(*model), golden(kGolden).at("txtclf").at("params").get<int64_t>());
  EXPECT_EQ(parameter_count(native_options(small_classifier())), static_cast<double>(distinct_count(*model)));
  fill(*model);
  model->eval();
  expect_near(model->forward(text_ids(), text_padding()), golden(kGolden).at("txtclf").at("logits"));
}

TEST(TextClassifier, GivesTheLogitsOfTxtclfAllpad) {
  TextClassifier model(small_classifier());
  fill(*model);
  model->eval();
  auto padding = text_padding();
  padding[1].fill_(true);
  expect_near(model->forward(text_ids(), padding), golden(kGolden).at("txtclf_allpad"));
}

TEST(TextClassifier, StartsFromTheWeightsOfTheSameSeedInPython) {
  TextClassifierConfig config{{}, {}, 3, 4};
  config.encoder.vocab_size = 11;
  config.encoder.max_seq_len = 5;
  config.encoder.num_input_channels = 4;
  config.encoder.num_cross_attention_heads = 2;
  config.encoder.num_cross_attention_layers = 2;
  config.encoder.num_self_attention_heads = 2;
  config.encoder.num_self_attention_layers_per_block = 1;
  config.encoder.num_self_attention_blocks = 2;
  config.encoder.first_self_attention_block_shared = false;
  config.decoder.num_classes = 2;
  config.decoder.num_output_query_channels = 4;
  config.decoder.num_cross_attention_heads = 1;
  at::manual_seed(0);
  const auto parameters = TextClassifier(config)->named_parameters();
  const auto expected = golden("init_0.2.1_seed0.json");
  EXPECT_EQ(parameters.size(), expected.size());
  for (const auto& item : parameters) {
    ASSERT_TRUE(expected.contains(item.key())) << item.key();
    const auto values = item.value().detach().flatten().to(at::kDouble);
    EXPECT_NEAR(values[0].item<double>(), expected.at(item.key())[0].get<double>(), 2e-6) << item.key();
    EXPECT_NEAR(values.sum().item<double>(), expected.at(item.key())[1].get<double>(), 2e-5) << item.key();
  }
}

TEST(MaskedLM, NamesItsWeightsAsTheOriginalDoes) {
  const auto first_names = [](const torch::nn::Module& model, const std::string& prefix) {
    std::vector<std::string> names;
    for (const auto& name : model.named_parameters().keys()) {
      if (name.starts_with(prefix)) names.push_back(name.substr(prefix.size()));
    }
    return names;
  };
  const std::vector<std::string> adapter{"pos_encoding", "text_embedding.weight"};
  const std::vector<std::string> tied{"_output_query", "embedding_weights", "bias"};
  const std::vector<std::string> untied{"_output_query", "linear.weight", "linear.bias"};
  for (const bool is_tied : {false, true}) {
    const MaskedLM model(small_masked_lm(is_tied));
    EXPECT_EQ(model->named_parameters().keys().front(), "encoder.latent");
    EXPECT_EQ(first_names(*model, "encoder.input_adapter."), adapter);
    EXPECT_EQ(first_names(*model, "decoder.output_adapter."), is_tied ? tied : untied);
    EXPECT_TRUE(model->named_parameters().contains("decoder.cross_attention.module.0.module.attention.q_proj.weight"));
    EXPECT_TRUE(model->named_parameters().contains("encoder.self_attn_1.1.module.1.module.3.bias"));
  }
  EXPECT_EQ(first_names(*TextClassifier(small_classifier()), "0.input_adapter."), adapter);
  EXPECT_EQ(first_names(*TextClassifier(small_classifier()), "1.output_adapter."), untied);
}

TEST(MaskedLM, SharesTheEmbeddingsWhenTied) {
  MaskedLM model(small_masked_lm(true));
  const auto same = [&] {
    const auto parameters = model->named_parameters();
    return parameters["encoder.input_adapter.text_embedding.weight"].is_same(
        parameters["decoder.output_adapter.embedding_weights"]);
  };
  EXPECT_TRUE(same());
  model->to(at::kDouble);
  EXPECT_TRUE(same());
  EXPECT_EQ(io::distinct_parameters(*model).size() + 1,
            io::distinct_parameters(*MaskedLM(small_masked_lm(false))).size());
  // Both uses add to one gradient.
  model->forward(text_ids(), text_padding()).square().sum().backward();
  const auto gradient = model->named_parameters()["decoder.output_adapter.embedding_weights"].grad();
  EXPECT_TRUE(gradient.ne(0).all().item<bool>());
}

TEST(MaskedLM, LoadsAndGivesTheStateOfTheOriginal) {
  for (const bool tied : {false, true}) {
    MaskedLM from(small_masked_lm(tied)), to(small_masked_lm(tied));
    from->eval();
    to->eval();
    auto state = io::named_tensors(*from);
    EXPECT_TRUE(
        state.contains(tied ? "decoder.output_adapter.embedding_weights" : "decoder.output_adapter.linear.bias"));
    EXPECT_TRUE(io::load_into(*to, state, "weights.pt").empty());
    EXPECT_TRUE(at::equal(to->forward(text_ids()), from->forward(text_ids())));
    state.erase("encoder.latent");
    state["decoder.output_adapter.scale"] = at::zeros({1});
    EXPECT_THAT(refusal([&] { io::load_into(*to, state, "weights.pt"); }),
                AllOf(HasSubstr("weights.pt"), HasSubstr("encoder.latent"), HasSubstr("output_adapter.scale")));
  }
}

TEST(MaskedLM, AnswersForTheTokensOfTheInputOnly) {
  for (const bool tied : {false, true}) {
    MaskedLM model(small_masked_lm(tied));
    model->eval();
    const auto longest = at::cat({text_ids(), at::full({2, 2}, 4)}, 1);
    auto padding = at::ones({2, 9}, at::kBool);
    padding.narrow(1, 0, 7).copy_(text_padding());
    const auto all = model->forward(longest, padding), some = model->forward(text_ids(), text_padding());
    EXPECT_EQ(all.sizes(), at::IntArrayRef({2, 9, 23}));
    EXPECT_EQ(some.sizes(), at::IntArrayRef({2, 7, 23}));
    EXPECT_TRUE(at::allclose(all.narrow(1, 0, 7), some, 1e-5, 1e-6));
  }
}

TEST(MaskedLM, NeverSeesWhatIsPadding) {
  MaskedLM model(small_masked_lm(false));
  model->eval();
  auto changed = text_ids();
  changed[1][6] = 22;
  EXPECT_TRUE(at::equal(model->forward(changed, text_padding()), model->forward(text_ids(), text_padding())));
  EXPECT_FALSE(at::allclose(model->forward(text_ids()), model->forward(text_ids(), text_padding())));
}

TEST(MaskedLM, AnswersForAPlaceAtATime) {
  auto config = small_masked_lm(true);
  config.encoder.max_seq_len = config.decoder.max_seq_len = 1;
  EXPECT_EQ(MaskedLM(config)->forward(text_ids().narrow(1, 0, 1)).sizes(), at::IntArrayRef({2, 1, 23}));
}

TEST(TextModels, HaveAsManyParametersAsTheOriginal) {
  MaskedLMConfig mlm{{}, {}, 64, 64};  // the README's
  mlm.encoder.max_seq_len = mlm.decoder.max_seq_len = 512;
  mlm.encoder.num_cross_attention_heads = mlm.encoder.num_self_attention_heads = 4;
  mlm.encoder.num_cross_attention_layers = mlm.encoder.num_self_attention_blocks = 3;
  mlm.encoder.num_self_attention_layers_per_block = 6;
  mlm.encoder.first_self_attention_block_shared = false;
  EXPECT_EQ(parameter_count(native_options(mlm)), 1'095'571);
  mlm.decoder.num_output_query_channels = 64;
  EXPECT_EQ(parameter_count(native_options(mlm)), 1'735'763);
  EXPECT_EQ(distinct_count(*MaskedLM(mlm)), 1'735'763);

  auto wide = mlm;  // of its text on activation checkpointing
  wide.num_latent_channels = wide.encoder.num_input_channels = 256;
  wide.decoder.num_output_query_channels = 256;
  EXPECT_EQ(parameter_count(native_options(wide)), 11'336'723);

  TextClassifierConfig classifier{mlm.encoder, {}, 64, 64};
  classifier.decoder.num_classes = 2;
  classifier.decoder.num_output_query_channels = 64;
  classifier.decoder.num_cross_attention_heads = 1;
  EXPECT_EQ(parameter_count(native_options(classifier)), 1'052'994);
}

TEST(TextClassifier, FreezesItsEncoder) {
  auto config = small_classifier();
  config.encoder.freeze = true;
  config.activation_checkpointing = true;
  config.encoder.dropout = 0.5;
  TextClassifier model(config);
  EXPECT_FALSE(at::equal(model->forward(text_ids()), model->forward(text_ids())));  // its dropout stays
  model->forward(text_ids(), text_padding()).square().sum().backward();
  for (const auto& item : model->named_parameters()) {
    EXPECT_EQ(item.value().grad().defined(), item.key().starts_with("1.")) << item.key();
  }
}

TEST(TextClassifier, CheckpointsItsLayersWithoutChangingGradients) {
  std::vector<std::vector<at::Tensor>> grads;
  for (const bool checkpointed : {false, true}) {
    auto config = small_classifier();
    config.activation_checkpointing = checkpointed;
    config.encoder.dropout = 0.1;
    config.decoder.dropout = 0.2;
    at::manual_seed(4);
    TextClassifier model(config);
    model->forward(text_ids(), text_padding()).square().sum().backward();
    grads.emplace_back();
    for (const auto& p : model->parameters()) grads.back().push_back(p.grad());
  }
  for (size_t i = 0; i < grads[0].size(); ++i) {
    EXPECT_TRUE(at::allclose(grads[0][i], grads[1][i], 1e-5, 1e-6)) << i;
  }
}

TEST(TextModels, NameTheTokenOrTextThatDoesNotFit) {
  TextClassifier model(small_classifier());
  const auto message = [&](const at::Tensor& ids, const at::Tensor& padding = {}) {
    return refusal([&] { model->forward(ids, padding); });
  };
  auto ids = text_ids();
  ids[1][2] = 23;
  EXPECT_THAT(message(ids), HasSubstr("23 at position 2 of row 1 is not among the ids 0 … 22"));
  ids[0][6] = -1;
  EXPECT_THAT(message(ids), HasSubstr("-1 at position 6 of row 0"));
  EXPECT_THAT(message(at::zeros({1, 10}, at::kLong)),
              HasSubstr("a text of 10 tokens is longer than encoder.max_seq_len, 9"));
  EXPECT_THAT(message(at::zeros({7}, at::kLong)), HasSubstr("x: expected token ids [B, l]; got [7]"));
  EXPECT_THAT(message(at::zeros({2, 7})), HasSubstr("expected int64 or int32; got Float"));
  EXPECT_THAT(message(text_ids(), at::zeros({2, 6}, at::kBool)), HasSubstr("pad_mask: expected bool [2, 7]"));
  EXPECT_TRUE(at::equal(model->forward(text_ids().to(at::kInt)), model->forward(text_ids())));
}

TEST(TextModels, SayWhichOptionCannotBe) {
  const auto with = [](auto&& change) {
    auto config = small_masked_lm(true);
    change(config);
    return refusal([&] { MaskedLM model(config); });
  };
  EXPECT_THAT(with([](auto& c) { c.decoder.vocab_size = 24; }),
              AllOf(HasSubstr("decoder.vocab_size and encoder.vocab_size must be equal"), HasSubstr("24 and 23")));
  EXPECT_THAT(with([](auto& c) { c.decoder.num_cross_attention_heads = 4; }),
              AllOf(HasSubstr("num_qk_channels must be divisible by num_heads"), HasSubstr("4 does not divide the 6")));
  EXPECT_THAT(with([](auto& c) { c.encoder.num_cross_attention_heads = 3; }),
              HasSubstr("3 does not divide the 8 of encoder.num_cross_attention_qk_channels (not set, so "
                        "num_latent_channels)"));
  EXPECT_THAT(with([](auto& c) { c.encoder.max_seq_len = 0; }), HasSubstr("encoder.max_seq_len must be at least 1"));
  EXPECT_THAT(with([](auto& c) { c.decoder.vocab_size = c.encoder.vocab_size = 3; }),
              HasSubstr("vocab_size must be more than the 3 special tokens"));
  EXPECT_THAT(with([](auto& c) { c.decoder.vocab_size = c.encoder.vocab_size = int64_t{1} << 62; }),
              HasSubstr("EB of memory"));
}

TEST(TextModels, RunByName) {
  const io::Tensors inputs{{"x", text_ids()}, {"pad_mask", text_padding()}};
  const nlohmann::json encoder{{"vocab_size", 23}, {"max_seq_len", 9}, {"num_input_channels", 8}};
  const auto run = [&](const char* name, const nlohmann::json& decoder, bool masking) {
    nlohmann::json description{
        {"class", name},
        {"args", {{"num_latents", 4}, {"num_latent_channels", 8}, {"encoder", encoder}, {"decoder", decoder}}}};
    if (masking) description["args_forward"]["masking"] = true;
    const auto loaded = load_model(description, "M.json");
    return loaded.model->forward(TensorArguments(inputs, loaded.model->tensor_arguments(), "IN"));
  };
  const auto scores = run("perceiver_io.text_classifier", {{"num_output_query_channels", 8}}, false);
  EXPECT_EQ(scores.at(0).second.sizes(), at::IntArrayRef({2, 100}));
  const auto plain = run("perceiver_io.masked_lm", {{"vocab_size", 23}}, false);
  ASSERT_EQ(plain.size(), 1U);
  EXPECT_EQ(plain[0].second.sizes(), at::IntArrayRef({2, 7, 23}));
  const auto masked = run("perceiver_io.masked_lm", {{"vocab_size", 23}}, true);
  ASSERT_EQ(masked.size(), 2U);
  EXPECT_EQ(masked[1].first, "labels");
  EXPECT_EQ(masked[1].second.sizes(), at::IntArrayRef({2, 7}));
}

}  // namespace
}  // namespace perceive::models::perceiver_io
