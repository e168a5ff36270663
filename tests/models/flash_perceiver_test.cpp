// flash-perceiver 0.2.0: the original's numbers, names and initial weights. Cases are named as in its specification.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "perceive/core/error.h"
#include "perceive/io/names.h"
#include "perceive/models/dialects/flash_perceiver/image_adapter.h"
#include "perceive/models/dialects/flash_perceiver/perceiver.h"
#include "tests/models/golden.h"

namespace perceive::models::flash_perceiver {
namespace {

PerceiverConfig base() {
  PerceiverConfig config;
  config.input_dim = 6;
  config.depth = 2;
  config.num_latents = 4;
  config.latent_dim = 16;
  config.cross_heads = 2;
  config.cross_head_dim = 4;
  config.latent_heads = 2;
  config.latent_head_dim = 8;
  config.self_per_cross_attn = 2;
  config.use_flash_attn = false;
  return config;
}

PerceiverIOConfig io_base() {
  PerceiverIOConfig config;
  static_cast<BaseConfig&>(config) = base();
  config.query_dim = 10;
  config.query_heads = 2;
  config.query_head_dim = 3;
  return config;
}

at::Tensor bools(std::vector<int64_t> values) {
  return at::tensor(values).to(at::kBool);
}
at::Tensor data() {
  return golden_input(1, {2, 5, 6});
}
at::Tensor prefix() {
  return bools({1, 1, 1, 0, 0, 1, 1, 1, 1, 1}).view({2, 5});
}
at::Tensor holed() {
  return bools({1, 0, 1, 0, 1, 0, 1, 1, 0, 1}).view({2, 5});
}
at::Tensor pictures() {
  return golden_input(5, {2, 3, 4, 6});
}

// F1: Perceiver, no head
TEST(FlashPerceiver, F1_GivesTheLatents) {
  auto config = base();
  Perceiver model(config);
  fill(*model);
  const auto output = model->forward(data());
  expect_golden(output, {{2, 4, 16},
                         57.30585017,
                         167.38634111,
                         {0.12540867, 1.61319146, 1.49288817, -1.49672266, -0.49335080, 0.05550245}});
}

// F2: F1 + prefix mask
TEST(FlashPerceiver, F2_TakesAPrefixMask) {
  auto config = base();
  Perceiver model(config);
  fill(*model);
  const auto output = model->forward({data(), prefix()});
  expect_golden(output, {{2, 4, 16},
                         56.06614625,
                         168.25939245,
                         {0.22026607, 1.59828569, 1.44210839, -1.66665216, -0.74868622, 0.02998216}});
}

// F3: F1 + holed mask
TEST(FlashPerceiver, F3_TakesAMaskWithHoles) {
  auto config = base();
  Perceiver model(config);
  fill(*model);
  const auto output = model->forward({data(), holed()});
  expect_golden(output, {{2, 4, 16},
                         54.27661554,
                         173.44715992,
                         {0.21165394, 1.46964120, 1.39369592, -1.59805367, -0.55575601, -0.08887736}});
}

// F3b: sample 0 fully masked
TEST(FlashPerceiver, F3b_ReadsAFullyMaskedSampleAsIfItWereNot) {
  auto config = base();
  Perceiver model(config);
  fill(*model);
  const auto output = model->forward({data(), bools({0, 0, 0, 0, 0, 1, 1, 1, 1, 1}).view({2, 5})});
  expect_golden(output, {{2, 4, 16},
                         57.30585017,
                         167.38634111,
                         {0.12540867, 1.61319146, 1.49288817, -1.49672266, -0.49335080, 0.05550245}});
}

// F4: custom latents [3,16]
TEST(FlashPerceiver, F4_TakesLatents) {
  auto config = base();
  Perceiver model(config);
  fill(*model);
  const auto output = model->forward(data(), {.latents = golden_input(4, {3, 16})});
  expect_golden(output, {{2, 3, 16},
                         31.65146314,
                         164.27467721,
                         {-0.08837691, 1.41939991, 1.98860196, -1.28035900, 0.65201161, 1.49800515}});
}

// F5: custom latents [2,3,16]
TEST(FlashPerceiver, F5_TakesLatentsForEachSample) {
  auto config = base();
  Perceiver model(config);
  fill(*model);
  const auto output = model->forward(data(), {.latents = golden_input(4, {2, 3, 16})});
  expect_golden(output, {{2, 3, 16},
                         29.09366284,
                         157.34441807,
                         {-0.08837691, 1.41939991, 1.98860196, -1.28035900, 0.65201161, 1.49800515}});
}

// F6: Mlp instead of GatedMlp
TEST(FlashPerceiver, F6_HasPlainMlps) {
  auto config = base();
  config.gated_mlp = false;
  Perceiver model(config);
  fill(*model);
  const auto output = model->forward(data());
  expect_golden(output, {{2, 4, 16},
                         -19.39644938,
                         128.50076975,
                         {-2.67491709, -1.33626325, 0.16227075, -0.44993132, 0.82280827, 1.27608645}});
}

// F7: output_dim=5 average
TEST(FlashPerceiver, F7_Pools_average) {
  auto config = base();
  config.output_dim = 5;
  config.output_mode = Pooling::average;
  Perceiver model(config);
  fill(*model);
  const auto output = model->forward(data());
  expect_golden(
      output,
      {{2, 5}, -2.89052262, 6.11306970, {-0.30369046, 0.56596001, -1.33772315, 0.57733859, -0.81366771, -0.31767622}});
}

// F7: output_dim=5 concat
TEST(FlashPerceiver, F7_Pools_concat) {
  auto config = base();
  config.output_dim = 5;
  config.output_mode = Pooling::concat;
  Perceiver model(config);
  fill(*model);
  const auto output = model->forward(data());
  expect_golden(output, {{2, 5},
                         -11.15698270,
                         15.69260055,
                         {-1.11381409, -1.64034589, -3.19070577, -0.56462374, 1.73245800, -2.02339808}});
}

// F7: output_dim=5 first
TEST(FlashPerceiver, F7_Pools_first) {
  auto config = base();
  config.output_dim = 5;
  config.output_mode = Pooling::first;
  Perceiver model(config);
  fill(*model);
  const auto output = model->forward(data());
  expect_golden(
      output,
      {{2, 5}, -2.64895779, 6.05630067, {-0.22890866, 0.67906867, -1.15469449, 0.26496704, -0.62170383, -0.47042253}});
}

// F8: num_zero_tokens=3
TEST(FlashPerceiver, F8_HasZeroTokens) {
  auto config = base();
  config.num_zero_tokens = 3;
  Perceiver model(config);
  fill(*model);
  const auto output = model->forward(data());
  expect_golden(output, {{2, 4, 16},
                         58.94772979,
                         165.37795519,
                         {0.09460928, 1.70458995, 1.50860363, -1.44773584, -0.47816065, 0.12406309}});
}

// F9: num_zero_tokens=3 + prefix mask
TEST(FlashPerceiver, F9_NeverMasksZeroTokens) {
  auto config = base();
  config.num_zero_tokens = 3;
  Perceiver model(config);
  fill(*model);
  const auto output = model->forward({data(), prefix()});
  expect_golden(output, {{2, 4, 16},
                         58.85790661,
                         165.41308749,
                         {0.12682662, 1.71548469, 1.46873621, -1.51650221, -0.60825408, 0.13784214}});
}

// F10: multi input [6,3], zero tokens, masks [mask,None]
TEST(FlashPerceiver, F10_ReadsSeveralInputsAndMasks) {
  auto config = base();
  config.num_zero_tokens = 3;
  config.input_dim = {6, 3};
  Perceiver model(config);
  fill(*model);
  const auto output = model->forward({{data(), golden_input(2, {2, 7, 3})}, {prefix(), at::Tensor()}});
  expect_golden(output, {{2, 4, 16},
                         61.75524522,
                         167.10357471,
                         {-0.02454969, 1.80550019, 1.44888453, -1.45420838, -0.50084274, 0.26637094}});
}

// F11: multi input no masks
TEST(FlashPerceiver, F11_ReadsSeveralInputs) {
  auto config = base();
  config.num_zero_tokens = 3;
  config.input_dim = {6, 3};
  Perceiver model(config);
  fill(*model);
  const auto output = model->forward({{data(), golden_input(2, {2, 7, 3})}});
  expect_golden(output, {{2, 4, 16},
                         61.53159084,
                         166.87066370,
                         {-0.01635359, 1.79144930, 1.48852713, -1.39246006, -0.40675404, 0.22832316}});
}

// F12: head_dim None for latents (8)
TEST(FlashPerceiver, F12_FindsTheWidthOfHeads) {
  auto config = base();
  config.latent_head_dim = std::nullopt;
  Perceiver model(config);
  fill(*model);
  const auto output = model->forward(data());
  expect_golden(output, {{2, 4, 16},
                         57.30585017,
                         167.38634111,
                         {0.12540867, 1.61319146, 1.49288817, -1.49672266, -0.49335080, 0.05550245}});
}

// F13: latent_heads None, head_dim 4
TEST(FlashPerceiver, F13_FindsTheNumberOfHeads) {
  auto config = base();
  config.latent_heads = std::nullopt;
  config.latent_head_dim = 4;
  Perceiver model(config);
  fill(*model);
  const auto output = model->forward(data());
  expect_golden(output, {{2, 4, 16},
                         61.97688806,
                         163.25118698,
                         {-0.05057807, 1.78265307, 1.53886520, -1.42754643, -0.43550838, 0.38493053}});
}

// F18: latent_rotary_emb_dim=8
TEST(FlashPerceiver, F18_TurnsWholeHeads) {
  auto config = base();
  config.latent_rotary_emb_dim = 8;
  Perceiver model(config);
  fill(*model);
  const auto output = model->forward(data());
  expect_golden(output, {{2, 4, 16},
                         56.17308421,
                         168.59870296,
                         {0.05871737, 1.52887826, 1.49729006, -1.49824700, -0.42997844, 0.10632737}});
}

// F19: latent_rotary_emb_dim=4 (partial)
TEST(FlashPerceiver, F19_TurnsPartsOfHeads) {
  auto config = base();
  config.latent_rotary_emb_dim = 4;
  Perceiver model(config);
  fill(*model);
  const auto output = model->forward(data());
  expect_golden(output, {{2, 4, 16},
                         53.87916202,
                         170.53732866,
                         {-0.00814493, 1.53971220, 1.42259636, -1.46881403, -0.46525964, 0.08637405}});
}

// F14: PerceiverIO queries [3,10]
TEST(FlashPerceiver, F14_LetsQueriesReadTheLatents) {
  auto config = io_base();
  PerceiverIO model(config);
  fill(*model);
  const auto output = model->forward(data(), golden_input(3, {3, 10}));
  expect_golden(output, {{2, 3, 10},
                         6.79042108,
                         71.88722867,
                         {-1.60157994, 0.78245108, 0.76872681, -1.69751335, -2.67430201, 0.83960889}});
}

// F15: PerceiverIO no queries
TEST(FlashPerceiver, F15_GivesLatentsWithoutQueries) {
  auto config = io_base();
  PerceiverIO model(config);
  fill(*model);
  const auto output = model->forward(data());
  expect_golden(output, {{2, 4, 16},
                         -29.32478373,
                         138.06113530,
                         {-0.33493116, -0.09235465, 0.09418653, -0.31291087, 0.04767931, -0.79431522}});
}

// F16: PerceiverIO batched queries [2,3,10] + mask
TEST(FlashPerceiver, F16_TakesQueriesForEachSample) {
  auto config = io_base();
  PerceiverIO model(config);
  fill(*model);
  const auto output = model->forward({data(), prefix()}, golden_input(3, {2, 3, 10}));
  expect_golden(output, {{2, 3, 10},
                         3.69298457,
                         76.29666633,
                         {-1.73674419, 0.75811532, 0.81754241, -1.60984000, -2.90643384, 0.66534382}});
}

// F17: PerceiverIO proj_dim=7
TEST(FlashPerceiver, F17_ProjectsTheAnswers) {
  auto config = io_base();
  config.proj_dim = 7;
  PerceiverIO model(config);
  fill(*model);
  const auto output = model->forward(data(), golden_input(3, {3, 10}));
  expect_golden(output, {{2, 3, 7},
                         -16.66390745,
                         26.64112874,
                         {0.55347168, -0.14006898, -1.09747310, -0.31141367, 0.49495922, -1.61956729}});
}

// F20: attn_weights of F2
TEST(FlashPerceiver, F20_ReturnsTheWeightsOfEveryAttention) {
  Perceiver model(base());
  fill(*model);
  std::vector<at::Tensor> weights;
  model->forward({data(), prefix()}, {.return_attn_weights = &weights});
  const std::vector<Golden> expected{Golden{{2, 2, 4, 5},
                                            16.00000000,
                                            16.00000000,
                                            {0.45769458, 0.24308283, 0.29922258, 0.00000000, 0.00000000, 0.29415556}},
                                     Golden{{2, 2, 4, 4},
                                            16.00000000,
                                            16.00000000,
                                            {0.16191872, 0.37967454, 0.22254100, 0.23586574, 0.25507362, 0.29591565}},
                                     Golden{{2, 2, 4, 4},
                                            16.00000000,
                                            16.00000000,
                                            {0.36605421, 0.18793211, 0.09908664, 0.34692704, 0.15736866, 0.42393860}},
                                     Golden{{2, 2, 4, 5},
                                            16.00000000,
                                            16.00000000,
                                            {0.53774067, 0.23771241, 0.22454691, 0.00000000, 0.00000000, 0.51587887}},
                                     Golden{{2, 2, 4, 4},
                                            16.00000000,
                                            16.00000000,
                                            {0.22119183, 0.23669946, 0.30347384, 0.23863487, 0.23595296, 0.26738759}},
                                     Golden{{2, 2, 4, 4},
                                            16.00000000,
                                            16.00000000,
                                            {0.30925353, 0.21469870, 0.21392297, 0.26212481, 0.30602609, 0.18092177}}};
  ASSERT_EQ(weights.size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) expect_golden(weights[i], expected[i]);
}

// A1: ImageAdapter(8)
TEST(ImageAdapter, A1_MakesTokensOfPixels) {
  ImageAdapterConfig config;
  config.embed_dim = 8;
  ImageAdapter adapter(config);
  fill(*adapter);
  expect_golden(adapter->forward(pictures()),
                {{2, 24, 8},
                 -45.86507642,
                 293.80302214,
                 {-0.63954812, 1.18772035, -1.95541022, 1.19615748, -0.34310976, -0.62742250}});
}

// A2: +NeRF(2,3)
TEST(ImageAdapter, A2_AddsTheirPlaces) {
  ImageAdapterConfig config;
  config.embed_dim = 8;
  config.pos_encoding = NeRFConfig{2, 3};
  ImageAdapter adapter(config);
  fill(*adapter);
  expect_golden(adapter->forward(pictures()),
                {{2, 24, 8},
                 -22.99028521,
                 291.26253543,
                 {-0.92061749, 0.02210003, 0.91222973, -0.93523087, 0.90687955, 0.06377519}});
}

// A3: +NeRF(2,3)+patch(2,3)
TEST(ImageAdapter, A3_MakesTokensOfPatches) {
  ImageAdapterConfig config;
  config.embed_dim = 8;
  config.pos_encoding = NeRFConfig{2, 3};
  config.patch_size = core::OneOrMany<int64_t>{2, 3};
  ImageAdapter adapter(config);
  fill(*adapter);
  expect_golden(adapter->forward(pictures()),
                {{2, 4, 8},
                 -2.78445435,
                 54.86519200,
                 {-0.66335250, -1.63569153, 1.02167715, 0.81005855, 1.41084616, -0.56329609}});
}

// A4: channel_last
TEST(ImageAdapter, A4_TakesChannelsLast) {
  ImageAdapterConfig config;
  config.embed_dim = 8;
  config.channel_first = false;
  ImageAdapter adapter(config);
  fill(*adapter);
  expect_golden(adapter->forward(pictures().permute({0, 2, 3, 1})),
                {{2, 24, 8},
                 -45.86507642,
                 293.80302214,
                 {-0.63954812, 1.18772035, -1.95541022, 1.19615748, -0.34310976, -0.62742250}});
}

// E1, E2, E3
TEST(Encodings, GiveTheValuesOfTheOriginal) {
  const auto places = at::tensor({-1.0, 0.25, 0.5, 1.0}, at::kDouble).view({2, 2});
  const auto nerf = make_encoding(NeRFConfig{2, 3});
  nerf->to(at::kDouble);
  expect_golden(
      nerf->forward(places),
      {{2, 12}, 4.41421356, 12.41421356, {-0.00000000, 0.00000000, 0.00000000, -1.00000000, 1.00000000, 1.00000000}});
  const auto fourier = make_encoding(FourierConfig{{{1.0, 0.5, 0.25}, {0.1, 0.2, 0.3}}});
  fourier->to(at::kDouble);
  expect_golden(
      fourier->forward(places),
      {{2, 3}, -0.86836681, 2.70725073, {0.15643447, -0.30901699, -0.89100652, -0.58778525, 0.30901699, 0.45399050}});
  expect_golden(meshgrid({2, 3}, at::kDouble), {{2, 3, 2}, 0, 10, {-1, -1, -1, 0, -1, 1}});
}

// Section 3.16: the matrix of seed 0.
TEST(Encodings, DrawsTheGaussianMatrixOfTheOriginal) {
  const auto matrix = make_encoding(GaussianConfig{.in_dim = 2, .seed = 0})->named_buffers()["proj_matrix"];
  expect_golden(matrix.flatten().slice(0, 0, 3),
                {{3}, -2.52877861, 2.52877861, {-1.12583983, -1.15236020, -0.25057858}}, 1e-6);
}

}  // namespace
}  // namespace perceive::models::flash_perceiver
