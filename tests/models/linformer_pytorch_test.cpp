// linformer-pytorch 0.19.3: the original's numbers. Cases are named as in its specification.
#include "tests/models/linformer_pytorch.h"

#include <gtest/gtest.h>

#include "perceive/core/config.h"
#include "perceive/models/dialects/linformer_pytorch/linformer_lm.h"
#include "perceive/models/dialects/linformer_pytorch/padder.h"
#include "tests/models/linformer_pytorch_0_19.h"

namespace perceive::models::linformer_pytorch {
namespace {

int64_t parameter_count(const torch::nn::Module& module) {
  int64_t count = 0;
  for (const auto& parameter : io::distinct_parameters(module)) count += parameter.numel();
  return count;
}

class LinformerPytorchGolden : public testing::TestWithParam<const char*> {};

// What forward() takes besides its input in a case of that name.
Extras extras_of(const std::string& name) {
  Extras extras;
  if (name.starts_with("decoder")) extras.embeddings = golden_input({2, 13, 8}, 0.9);
  if (name.ends_with("masked")) extras.input_mask = prefixes({9, 13});
  if (name == "decoder_masked") extras.embeddings_mask = prefixes({13, 7});
  return extras;
}

TEST_P(LinformerPytorchGolden, IsThatOfTheOriginal) {
  const std::string name = GetParam();
  const auto expected = golden("0.19.3").at(name);
  Linformer model(config_of(expected.at("cfg")));
  EXPECT_EQ(parameter_count(*model), expected.at("nparam").get<int64_t>());
  fill(*model);
  const auto x = golden_input({2, 13, 8}).requires_grad_();
  const auto output = model->forward(x, extras_of(name));
  expect_golden(output, expected.at("out"));
  (output * golden_cotangent(output)).sum().backward();
  expect_golden(x.grad(), expected.at("dx"));
}

INSTANTIATE_TEST_SUITE_P(, LinformerPytorchGolden,
                         testing::Values("layerwise", "kv", "headwise", "none_kreduce", "conv_none", "no_params",
                                         "causal", "full", "full_causal", "noff", "wo3", "relu_dimd5", "ffi10_kv",
                                         "masked", "decoder", "decoder_masked"),
                         [](const auto& info) { return std::string(info.param); });

class LinformerPytorchGoldenLM : public testing::TestWithParam<const char*> {};

TEST_P(LinformerPytorchGoldenLM, IsThatOfTheOriginal) {
  const auto expected = golden("0.19.3").at(GetParam());
  LinformerLM model(lm_config_of(expected.at("cfg")));
  fill(*model);
  expect_golden(model->forward(tokens()), expected.at("out"));
}

INSTANTIATE_TEST_SUITE_P(, LinformerPytorchGoldenLM, testing::Values("lm", "lm_emb6", "lm_return_emb", "lm_causal"),
                         [](const auto& info) { return std::string(info.param); });

TEST(LinformerPytorch, encdec) {
  LinformerEncDec model(enc_dec_config());
  fill(*model);
  expect_golden(model->forward(tokens(), tokens().remainder(9)), golden("0.19.3").at("encdec").at("out"));
}

TEST(LinformerPytorch, padder_lm) {
  Padder<LinformerLM> model{LinformerLM(lm_config_of({}))};
  fill(*model);
  expect_golden(model->forward(tokens().narrow(1, 0, 9)), golden("0.19.3").at("padder_lm").at("out"));
}

TEST(LinformerPytorch, pos8) {
  PositionalEmbedding positions(8);
  expect_golden(positions->forward(at::zeros({1, 13, 8})), golden("0.19.3").at("pos8"));
}

}  // namespace
}  // namespace perceive::models::linformer_pytorch
