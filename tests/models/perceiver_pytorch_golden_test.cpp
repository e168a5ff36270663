// perceiver-pytorch: the original's numbers. Cases are named as in its specification: L of all versions, N of what came
// with 0.10.0 to 0.11.0.
#include <c10/core/DefaultDtype.h>
#include <gtest/gtest.h>

#include "perceive/nn/depth_attention.h"
#include "tests/models/perceiver_pytorch.h"

namespace perceive::models::perceiver_pytorch {
namespace {

TEST(PerceiverPytorch, L1_GivesLogits) {
  auto model = filled_as_0_9_0<Perceiver>(small_with_two_self());
  expect_golden(
      model->forward(image()),
      {{2, 5}, -4.91564245, 8.87486242, {0.95786654, -1.10990692, -0.48490678, -0.91588018, -0.69104027, 1.02174345}});
}

TEST(PerceiverPytorch, L2_TakesAMask) {
  auto model = filled_as_0_9_0<Perceiver>(small_with_two_self());
  expect_golden(
      model->forward(image(), {.mask = image_mask()}),
      {{2, 5}, -5.62238122, 9.10004970, {0.71709079, -1.59743423, -0.65802890, -0.20565962, -1.20657443, 1.02174345}});
}

TEST(PerceiverPytorch, L2b_TakesAMaskOfTheAxes) {
  auto model = filled_as_0_9_0<Perceiver>(small_with_two_self());
  expect_golden(
      model->forward(image(), {.mask = image_mask().view({2, 2, 3})}),
      {{2, 5}, -5.62238122, 9.10004970, {0.71709079, -1.59743423, -0.65802890, -0.20565962, -1.20657443, 1.02174345}});
}

TEST(PerceiverPytorch, L2c_AveragesAFullyMaskedSample) {
  auto model = filled_as_0_9_0<Perceiver>(small_with_two_self());
  expect_golden(
      model->forward(image(), {.mask = first_masked()}),
      {{2, 5}, -3.88830349, 8.33277204, {0.92135895, -0.50853947, 0.27913188, -1.47066611, -0.43781390, 1.02174345}});
}

TEST(PerceiverPytorch, L3_ReturnsEmbeddings) {
  auto model = filled_as_0_9_0<Perceiver>(small_with_two_self());
  expect_golden(model->forward(image(), {.return_embeddings = true}),
                {{2, 4, 16},
                 -93.16690958,
                 367.94182666,
                 {-2.08522986, 1.71547316, -0.59444090, -4.83009464, 3.13180514, -3.80568186}});
}

TEST(PerceiverPytorch, L4_InvertsTheAttentionOfSomeLayers) {
  auto config = small<PerceiverConfig>();
  config.inverted_cross_attn = {true, false};
  auto model = filled_as_0_9_0<Perceiver>(config);
  expect_golden(
      model->forward(image()),
      {{2, 5}, -4.88295852, 9.18668152, {1.15606982, -1.15429385, -0.42025159, -0.62785234, -1.12290144, 0.99579168}});
}

TEST(PerceiverPytorch, L5_InvertsMaskedAttention) {
  auto config = small<PerceiverConfig>();
  config.inverted_cross_attn = true;
  auto model = filled_as_0_9_0<Perceiver>(config);
  expect_golden(
      model->forward(image(), {.mask = image_mask()}),
      {{2, 5}, -5.65264690, 9.57634385, {0.98087125, -1.58224186, -0.60810028, -0.18212917, -1.57498174, 0.98097722}});
}

TEST(PerceiverPytorch, L5b_ReadsNothingOfAFullyMaskedSampleWhenInverted) {
  auto config = small<PerceiverConfig>();
  config.inverted_cross_attn = true;
  auto model = filled_as_0_9_0<Perceiver>(config);
  expect_golden(
      model->forward(image(), {.mask = first_masked()}),
      {{2, 5}, -5.34887873, 9.37256602, {1.03086643, -1.26423099, -1.07762601, -0.30751633, -1.04430671, 0.98097722}});
}

TEST(PerceiverPytorch, L6_GoesWithoutPositionsAndHead) {
  auto config = small<PerceiverConfig>();
  config.fourier_encode_data = false;
  config.final_classifier_head = false;
  auto model = filled_as_0_9_0<Perceiver>(config);
  expect_golden(model->forward(image()), {{2, 4, 16},
                                          -61.31776030,
                                          316.19015217,
                                          {1.90605000, 1.33661191, 0.45084409, -0.73100148, 4.34567781, -7.60658196}});
}

TEST(PerceiverPytorch, L7_LetsQueriesReadTheLatents) {
  auto model = filled_as_0_9_0<PerceiverIO>(small_io());
  expect_golden(model->forward(sequence(), queries()),
                {{2, 3, 10},
                 -1.19346185,
                 32.34394051,
                 {0.24281984, -0.33637100, 0.85594831, 0.31006037, -0.34886515, -0.59169787}});
}

TEST(PerceiverPytorch, L8_MasksTheDataOfPerceiverIO) {
  auto model = filled_as_0_9_0<PerceiverIO>(small_io());
  expect_golden(model->forward(sequence(), queries(), {.mask = prefix()}),
                {{2, 3, 10},
                 -4.97234199,
                 32.45349833,
                 {0.52661400, -0.45032303, 0.73518195, -0.27797913, -0.39659039, -1.01558834}});
}

TEST(PerceiverPytorch, L9_GivesLatentsWithoutQueries) {
  auto model = filled_as_0_9_0<PerceiverIO>(small_io());
  expect_golden(model->forward(sequence()),
                {{2, 4, 16},
                 54.20083739,
                 247.18508764,
                 {4.27623148, 1.78187770, -1.67512949, -0.02373038, 2.29517813, -3.52726609}});
}

TEST(PerceiverPytorch, L10_DecodesWithAnMlpAndLogits) {
  auto config = small_io();
  config.logits_dim = 7;
  config.decoder_ff = true;
  auto model = filled_as_0_9_0<PerceiverIO>(config);
  expect_golden(model->forward(sequence(), queries()),
                {{2, 3, 7},
                 -4.43766248,
                 15.64027239,
                 {-0.42932917, -0.13862014, 0.28381720, -0.20302857, -0.14698007, 0.33647041}});
}

TEST(PerceiverPytorch, L11_GivesTheLogitsOfTokens) {
  auto model = filled_as_0_9_0<PerceiverLM>(small_lm());
  expect_golden(model->forward(words()), {{2, 3, 11},
                                          -4.44643824,
                                          14.96771698,
                                          {0.21940285, 0.01391654, 0.29876045, -0.15082064, -0.39494567, -0.53179710}});
}

// The originals of L12 and L13 make positions in the default dtype, which was double where these numbers were taken.
class DefaultDouble {
 public:
  DefaultDouble() { c10::set_default_dtype(caffe2::TypeMeta::Make<double>()); }
  ~DefaultDouble() { c10::set_default_dtype(caffe2::TypeMeta::Make<float>()); }
};

TEST(PerceiverPytorch, L12_Gates) {
  const DefaultDouble as_there;
  auto model = filled<GatedPerceiver>(small<GatedConfig>());
  expect_golden(
      model->forward(image()),
      {{2, 5}, 2.02251267, 9.77820530, {0.40859129, -0.59906674, -1.06974702, 1.77259895, 0.43447424, 0.87099580}});
}

TEST(PerceiverPytorch, L13_MixesLatents) {
  const DefaultDouble as_there;
  auto model = filled<MixedLatentsPerceiver>(small<MixedLatentsConfig>());
  expect_golden(
      model->forward(image()),
      {{2, 5}, -1.45462663, 5.67071633, {-0.71280037, -0.47328023, -0.66890193, 0.30776962, 0.81252849, -0.76814126}});
}

TEST(PerceiverPytorch, L14_LetsTheDataReadTheLatents) {
  auto config = small<ExperimentalConfig>();
  config.fourier_encode_data = false;
  auto model = filled<ExperimentalPerceiver>(config);
  expect_golden(
      model->forward(image()),
      {{2, 5}, -3.47848927, 7.29849443, {-0.79794136, -0.47820116, -1.39066312, 0.94889479, -0.02208920, -0.85416340}});
}

TEST(PerceiverPytorch, L15_EncodesPositions) {
  expect_golden(
      fourier_encode(at::tensor({-1.0, 0.0, 0.5}, at::kDouble), 5, 3),
      {{3, 7}, 0.95880390, 11.63499009, {-0.00000000, 0.70710678, -1.00000000, -1.00000000, 0.70710678, 0.00000000}});
}

TEST(PerceiverPytorch, N1_WeighsAHistory) {
  nn::DepthAttention residual(nn::DepthAttentionOptions{.rank = 3}, 16);
  fill(*residual, [](const std::string& name) -> std::string {
    return name == "norm_weight"     ? "to_attn_logits.0.weight"
           : name == "reduce.weight" ? "to_attn_logits.1.weight"
                                     : "to_attn_logits.2.weight";
  });
  expect_golden(residual->forward({hidden(6), hidden(7), hidden(4)}),
                {{2, 4, 16},
                 -13.83452477,
                 55.64440321,
                 {-1.07221423, -0.00889872, -0.70323353, -0.55924054, 0.25213302, -1.08833406}});
}

PerceiverConfig with_residual() {
  auto config = small_with_two_self();
  config.attn_residual = true;
  config.attn_residual_rank = 3;
  return config;
}

TEST(PerceiverPytorch, N2_MixesTheLatentsOfAllLayers) {
  auto model = filled<Perceiver>(with_residual());
  std::vector<at::Tensor> hiddens;
  expect_golden(
      model->forward(image(), {.return_hiddens = &hiddens}),
      {{2, 5}, -0.70134651, 5.95525321, {1.20597348, -0.88665998, -0.43018418, 0.51976928, -1.01297482, 0.26120625}});
  ASSERT_EQ(hiddens.size(), 3U);
  expect_golden(hiddens[1], {{2, 4, 16},
                             8.98511243,
                             204.47245387,
                             {1.47585848, -1.93504671, -0.45463688, -0.83255795, -3.29465952, 1.66603953}});
  expect_golden(hiddens[2], {{2, 4, 16},
                             99.25422315,
                             233.18583082,
                             {-3.09645440, 1.94747721, -0.65426634, -2.78016637, -3.29880421, -0.87715595}});
}

TEST(PerceiverPytorch, N3_TakesAHistory) {
  auto model = filled<Perceiver>(with_residual());
  const std::vector<at::Tensor> history{hidden(6), hidden(7)};
  expect_golden(model->forward(image(), {.return_embeddings = true, .block_outputs = history}),
                {{2, 4, 16},
                 21.17670957,
                 88.71046057,
                 {-1.19162291, -0.64278051, -0.19074801, -1.11896861, -1.49269457, 0.68261477}});
}

TEST(PerceiverPytorch, N4_InvertsAndMixesInPerceiverIO) {
  auto config = small_io();
  config.attn_residual = true;
  config.attn_residual_rank = 3;
  config.inverted_cross_attn = true;
  config.decoder_ff = true;
  config.logits_dim = 7;
  auto model = filled<PerceiverIO>(config);
  expect_golden(model->forward(sequence(), queries(), {.mask = prefix()}),
                {{2, 3, 7},
                 -3.45210971,
                 17.70638720,
                 {-0.31267818, 0.75685230, 1.30449397, -0.29575299, 0.07023710, 0.31864084}});
}

TEST(PerceiverPytorch, N5_InvertsInPerceiverIO) {
  auto config = small_io();
  config.inverted_cross_attn = {false};  // a list counts as true
  auto model = filled<PerceiverIO>(config);
  expect_golden(model->forward(sequence()),
                {{2, 4, 16},
                 57.90267225,
                 228.66263540,
                 {7.50807667, 0.67150251, -4.97367984, 2.50439102, 0.50910774, 2.41345283}});
}

BlockInputs context(std::vector<int64_t> mask_of_first, bool inverted = false) {
  mask_of_first.resize(14, 1);
  return {golden_input(2, {2, 7, 16}), bools(std::move(mask_of_first), {2, 7}), inverted};
}

TEST(PerceiverPytorch, N6_LetsQueriesReadThemselvesToo) {
  auto model = filled<PerceiverBlock>(small_block());
  expect_golden(model->forward(hidden(4), context({1, 0, 1, 1, 0, 0, 0})),
                {{2, 4, 16},
                 31.26306452,
                 267.65370569,
                 {3.71402006, 1.85656649, -3.72258913, 2.97315440, -1.27916286, 2.25237997}});
}

TEST(PerceiverPytorch, N6b_LetsQueriesReadTheContextAlone) {
  auto config = small_block();
  config.queries_contribute_kv = false;
  auto model = filled<PerceiverBlock>(config);
  expect_golden(model->forward(hidden(4), context({1, 0, 1, 1, 0, 0, 0})),
                {{2, 4, 16},
                 12.42527957,
                 282.71714890,
                 {2.82538666, 1.54149063, -3.61745941, 1.56868810, -1.29228157, 2.80679550}});
}

TEST(PerceiverPytorch, N7_LeavesQueriesThemselvesWhenAllIsMasked) {
  auto model = filled<PerceiverBlock>(small_block());
  expect_golden(model->forward(hidden(4), context({0, 0, 0, 0, 0, 0, 0})),
                {{2, 4, 16},
                 31.26678679,
                 258.99960120,
                 {3.27143144, 2.14786668, -4.10274301, 2.87486887, -1.52002129, 2.21357642}});
}

TEST(PerceiverPytorch, N8_InvertsOverQueriesAndContext) {
  auto model = filled<PerceiverBlock>(small_block());
  expect_golden(model->forward(hidden(4), context({1, 0, 1, 1, 0, 0, 0}, true)),
                {{2, 4, 16},
                 25.66766879,
                 276.59137823,
                 {3.49505211, 1.80435933, -3.71345127, 2.61215315, -0.55189952, 2.59379391}});
}

TEST(PerceiverPytorch, N9_PassesArgumentsOnToPerceiverIO) {
  auto config = small_lm();
  config.attn_residual = true;
  config.attn_residual_rank = 3;
  config.inverted_cross_attn = true;
  auto model = filled<PerceiverLM>(config);
  expect_golden(model->forward(words()), {{2, 3, 11},
                                          -3.35479928,
                                          10.51153275,
                                          {-0.24922586, 0.23049775, -0.27229375, 0.02099556, 0.00078682, 0.18216429}});
}

}  // namespace
}  // namespace perceive::models::perceiver_pytorch
