// perceiver-io 0.2.1: the original's numbers, names, initial weights and refusals.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "perceive/core/error.h"
#include "perceive/models/dialects/perceiver_io/image_classifier.h"
#include "tests/models/perceiver_io_golden.h"

namespace perceive::models::perceiver_io {
namespace {

using testing::AllOf;
using testing::HasSubstr;

ImageClassifierConfig shared_config() {
  ImageClassifierConfig config;
  config.encoder.image_shape = {4, 5, 2};
  config.encoder.num_frequency_bands = 3;
  config.encoder.num_cross_attention_heads = 2;
  config.encoder.num_self_attention_heads = 2;
  config.encoder.num_self_attention_layers_per_block = 2;
  config.encoder.num_self_attention_blocks = 2;
  config.decoder.num_classes = 3;
  config.decoder.num_output_query_channels = 6;
  config.decoder.num_cross_attention_heads = 2;
  config.num_latents = 3;
  config.num_latent_channels = 8;
  return config;
}

ImageClassifierConfig unshared_config() {
  auto config = shared_config();
  config.encoder.num_cross_attention_qk_channels = 8;
  config.encoder.num_cross_attention_v_channels = 12;
  config.encoder.num_cross_attention_layers = 2;
  config.encoder.num_self_attention_blocks = 3;
  config.encoder.first_self_attention_block_shared = false;
  config.encoder.cross_attention_widening_factor = 2;
  config.encoder.self_attention_widening_factor = 3;
  return config;
}

at::Tensor images() {
  return at::sin(at::arange(2 * 4 * 5 * 2, at::kDouble) * 0.3).to(at::kFloat).view({2, 4, 5, 2});
}

void expect_golden(const ImageClassifierConfig& config, const char* key) {
  const auto expected = golden("golden_0.2.1.json").at(key);
  const auto logits = at::tensor(expected.at("logits").get<std::vector<double>>(), at::kDouble).view({2, 3});
  ImageClassifier model(config);
  EXPECT_EQ(distinct_count(*model), expected.at("params").get<int64_t>());
  EXPECT_EQ(parameter_count(native_options(config)), expected.at("params").get<double>());
  EXPECT_EQ(model->state_dict().size(), expected.at("keys").get<size_t>());
  fill(*model);
  model->eval();
  EXPECT_TRUE(at::allclose(model->forward(images()).to(at::kDouble), logits, 1e-5, 1e-5)) << model->forward(images());
  model->to(at::kDouble);
  EXPECT_TRUE(at::allclose(model->forward(images().to(at::kDouble)), logits, 1e-6, 1e-6));
}

TEST(ImageClassifier, GivesTheLogitsOfTheOriginalWithSharedLayers) {
  expect_golden(shared_config(), "img_shared");
}

TEST(ImageClassifier, GivesTheLogitsOfTheOriginalWithLayersOfTheirOwn) {
  expect_golden(unshared_config(), "img_unshared");
}

TEST(ImageClassifier, HasThePositionFeaturesOfTheOriginal) {
  const auto expected = golden("golden_0.2.1.json").at("fourier_4x5_B3");
  const auto positions = ImageClassifier(shared_config())->state_dict().at("0.input_adapter.position_encoding");
  EXPECT_EQ(positions.sizes(), at::IntArrayRef({20, 14}));
  const auto rows = expected.at("rows_0_7_19").get<std::vector<std::vector<double>>>();
  const std::vector<int64_t> places{0, 7, 19};
  for (size_t i = 0; i < places.size(); ++i) {
    const auto row = at::tensor(rows[i], at::kDouble);
    EXPECT_TRUE(at::allclose(positions[places[i]].to(at::kDouble), row, 1e-6, 1e-6)) << places[i];
  }
}

TEST(ImageClassifier, NamesItsWeightsAsTheOriginalDoes) {
  std::vector<std::string> expected{"0.latent"};
  const auto mlp = [&](const std::string& layer) {
    for (const char* part : {"0", "1", "3"}) {
      for (const char* of : {".weight", ".bias"}) expected.push_back(layer + ".module.1.module." + part + of);
    }
  };
  const auto attention = [&](const std::string& layer) {
    for (const char* of : {"q_proj.weight", "k_proj.weight", "v_proj.weight", "o_proj.weight", "o_proj.bias"}) {
      expected.push_back(layer + ".module.0.module.attention." + of);
    }
    mlp(layer);
  };
  const auto cross = [&](const std::string& layer) {
    for (const char* of : {"q_norm.weight", "q_norm.bias", "kv_norm.weight", "kv_norm.bias"}) {
      expected.push_back(layer + ".module.0.module." + of);
    }
    attention(layer);
  };
  const auto block = [&](const std::string& name) {
    for (const char* layer : {".0", ".1"}) {
      for (const char* of : {"norm.weight", "norm.bias"}) expected.push_back(name + layer + ".module.0.module." + of);
      attention(name + layer);
    }
  };
  cross("0.cross_attn_n");
  block("0.self_attn_n");
  cross("0.cross_attn_1");
  block("0.self_attn_1");
  for (const char* of : {"_output_query", "linear.weight", "linear.bias"}) {
    expected.push_back(std::string("1.output_adapter.") + of);
  }
  cross("1.cross_attention");

  for (const auto& config : {shared_config(), unshared_config()}) {
    EXPECT_EQ(ImageClassifier(config)->named_parameters().keys(), expected);
  }
}

TEST(ImageClassifier, SharesOneTensorUnderBothNames) {
  const char* first = "0.cross_attn_1.module.0.module.q_norm.weight";
  const char* later = "0.cross_attn_n.module.0.module.q_norm.weight";
  const auto shared = ImageClassifier(shared_config())->named_parameters();
  EXPECT_TRUE(shared[first].is_same(shared[later]));
  const auto unshared = ImageClassifier(unshared_config())->named_parameters();
  EXPECT_FALSE(unshared[first].is_same(unshared[later]));
}

TEST(ImageClassifier, StartsFromTheWeightsOfTheSameSeedInPython) {
  // manual_seed(0), the original's order of construction, torch 2.15.0: first element and sum.
  struct Fingerprint {
    const char* name;
    double first, sum;
  };
  const Fingerprint fingerprints[] = {
      {"0.cross_attn_n.module.0.module.attention.q_proj.weight", -0.00264699059, -1.34581352},
      {"0.self_attn_n.1.module.1.module.3.bias", -0.01359325, 0.261480175},
      {"0.cross_attn_1.module.0.module.attention.v_proj.weight", -0.117866248, -0.836642891},
      {"0.self_attn_1.0.module.0.module.attention.o_proj.bias", -0.351888925, -1.07453783},
      {"0.latent", -0.00571741629, -0.256921295},
      {"1.output_adapter._output_query", 0.0158891603, 0.0138861286},
      {"1.output_adapter.linear.weight", 0.297155589, 1.4393879},
      {"1.cross_attention.module.1.module.3.weight", 0.20076482, -1.27818967},
  };
  at::manual_seed(0);
  const auto parameters = ImageClassifier(unshared_config())->named_parameters();
  for (const auto& [name, first, sum] : fingerprints) {
    const auto values = parameters[name].detach().flatten().to(at::kDouble);
    EXPECT_NEAR(values[0].item<double>(), first, 1e-9) << name;
    EXPECT_NEAR(values.sum().item<double>(), sum, 1e-7) << name;
  }
}

// The README's MNIST classifier: the defaults of its img_clf script.
ImageClassifierConfig mnist_config() {
  ImageClassifierConfig config;
  config.encoder.image_shape = {28, 28, 1};
  config.encoder.num_cross_attention_heads = 1;
  config.encoder.num_self_attention_heads = 4;
  config.encoder.num_self_attention_layers_per_block = 3;
  config.encoder.num_self_attention_blocks = 3;
  config.encoder.first_self_attention_block_shared = false;
  config.decoder.num_classes = 10;
  config.decoder.num_output_query_channels = 128;
  config.decoder.num_cross_attention_heads = 1;
  config.num_latents = 32;
  config.num_latent_channels = 128;
  return config;
}

TEST(ImageClassifier, HasAsManyParametersAsTheOriginal) {
  EXPECT_EQ(distinct_count(*ImageClassifier(mnist_config())), 801'954);

  ImageClassifierConfig small;  // of the original's only test
  small.encoder.num_cross_attention_heads = 1;
  small.num_latents = 16;
  small.num_latent_channels = 16;
  EXPECT_EQ(distinct_count(*ImageClassifier(small)), 352'080);

  ImageClassifierConfig image_net;  // configuration A of the README
  image_net.encoder.num_frequency_bands = 64;
  image_net.encoder.num_cross_attention_heads = 1;
  image_net.encoder.num_self_attention_layers_per_block = 6;
  image_net.encoder.num_self_attention_blocks = 8;
  image_net.decoder.num_classes = 1000;
  image_net.decoder.num_output_query_channels = 1024;
  image_net.num_latents = 512;
  image_net.num_latent_channels = 1024;
  EXPECT_EQ(parameter_count(native_options(image_net)), 48'418'340);
  EXPECT_EQ(distinct_count(*ImageClassifier(image_net)), 48'418'340);
}

TEST(ImageClassifier, LoadsAndGivesTheStateOfTheOriginal) {
  ImageClassifier from(shared_config()), to(shared_config());
  fill(*from);
  const auto state = from->state_dict();
  EXPECT_TRUE(to->load_state_dict(state, "weights.safetensors").empty());
  EXPECT_TRUE(at::equal(to->forward(images()), from->forward(images())));

  auto without_positions = state;
  without_positions.erase("0.input_adapter.position_encoding");
  EXPECT_NO_THROW(to->load_state_dict(without_positions, "weights.safetensors"));
}

TEST(ImageClassifier, RefusesPositionFeaturesOfAnotherGrid) {
  ImageClassifier model(shared_config());
  const auto message = [&](const at::Tensor& positions) -> std::string {
    auto state = model->state_dict();
    state["0.input_adapter.position_encoding"] = positions;
    try {
      model->load_state_dict(state, "weights.safetensors");
    } catch (const core::FileError& error) {
      return error.what();
    }
    return "(no refusal)";
  };
  EXPECT_THAT(message(at::zeros({20, 10})),
              AllOf(HasSubstr("weights.safetensors: 0.input_adapter.position_encoding has the shape [20, 10] where "
                              "[20, 14] was expected"),
                    HasSubstr("another image shape")));
  EXPECT_THAT(message(at::zeros({20, 14})), HasSubstr("holds other values than the Fourier features"));
}

TEST(ImageClassifier, PutsItsModelIntoEvaluationMode) {
  auto config = shared_config();
  config.encoder.dropout = 0.5;
  ImageClassifier model(config);
  EXPECT_FALSE(at::equal(model->forward(images()), model->forward(images())));
  model->eval();
  EXPECT_TRUE(at::equal(model->forward(images()), model->forward(images())));
  model->train();
  EXPECT_FALSE(at::equal(model->forward(images()), model->forward(images())));
}

TEST(ImageClassifier, CheckpointsItsLayersWithoutChangingNamesOrGradients) {
  std::vector<std::vector<at::Tensor>> grads;
  std::vector<std::vector<std::string>> names;
  for (const bool checkpointed : {false, true}) {
    auto config = unshared_config();
    config.activation_checkpointing = checkpointed;
    config.encoder.dropout = 0.1;
    config.decoder.dropout = 0.2;
    at::manual_seed(4);
    ImageClassifier model(config);
    model->forward(images()).square().sum().backward();
    names.push_back(model->named_parameters().keys());
    grads.emplace_back();
    for (const auto& p : model->parameters()) grads.back().push_back(p.grad());
  }
  EXPECT_EQ(names[0], names[1]);
  for (size_t i = 0; i < grads[0].size(); ++i) {
    EXPECT_TRUE(at::allclose(grads[0][i], grads[1][i], 1e-5, 1e-6)) << names[0][i];
  }
}

template <class F>
std::string refusal(F&& change) {
  auto config = shared_config();
  change(config);
  try {
    ImageClassifier model(config);
  } catch (const core::ConfigError& error) {
    return error.what();
  }
  return "(no refusal)";
}

TEST(ImageClassifierConfig, SaysWhatTheOriginalSaysAndWhatToDo) {
  ImageClassifierConfig defaults;
  defaults.num_latents = defaults.num_latent_channels = 16;
  try {
    check(defaults);
    FAIL() << "no refusal";
  } catch (const core::ConfigError& error) {
    EXPECT_THAT(error.what(),
                AllOf(HasSubstr("num_qk_channels must be divisible by num_heads"),
                      HasSubstr("encoder.num_cross_attention_heads=8 does not divide the 133"),
                      HasSubstr("3 of the image + 2·(2·32+1) of its positions"), HasSubstr("Use 1 head")));
  }
  EXPECT_THAT(refusal([](auto& c) { c.encoder.num_cross_attention_v_channels = 7; }),
              AllOf(HasSubstr("num_v_channels must be divisible by num_heads"),
                    HasSubstr("encoder.num_cross_attention_v_channels")));
  EXPECT_THAT(refusal([](auto& c) { c.encoder.num_self_attention_heads = 3; }),
              HasSubstr("encoder.num_self_attention_heads=3 does not divide the 8"));
  EXPECT_THAT(refusal([](auto& c) { c.decoder.num_cross_attention_heads = 4; }),
              HasSubstr("decoder.num_cross_attention_heads=4 does not divide the 6"));
  EXPECT_THAT(refusal([](auto& c) { c.encoder.num_cross_attention_layers = 0; }),
              HasSubstr("num_cross_attention_layers must be > 0"));
  EXPECT_THAT(refusal([](auto& c) { c.encoder.num_self_attention_blocks = 0; }),
              HasSubstr("num_self_attention_blocks must be > 0"));
  EXPECT_THAT(refusal([](auto& c) { c.encoder.num_cross_attention_layers = 3; }),
              HasSubstr("num_cross_attention_layers must be <= num_self_attention_blocks"));
}

TEST(ImageClassifierConfig, NamesWhatIsOutOfRange) {
  EXPECT_THAT(refusal([](auto& c) { c.num_latents = 0; }), HasSubstr("num_latents must be at least 1; got 0"));
  EXPECT_THAT(refusal([](auto& c) { c.encoder.dropout = 1.0; }),
              HasSubstr("encoder.dropout is a probability and must be in [0, 1); got 1"));
  EXPECT_THAT(refusal([](auto& c) { c.decoder.num_classes = -1; }), HasSubstr("decoder.num_classes"));
  EXPECT_THAT(refusal([](auto& c) { c.encoder.image_shape = {28}; }), HasSubstr("encoder.image_shape"));
  EXPECT_THAT(refusal([](auto& c) { c.encoder.num_self_attention_heads = 0; }),
              HasSubstr("encoder.num_self_attention_heads must be at least 1"));
  EXPECT_THAT(refusal([](auto& c) { c.encoder.num_frequency_bands = int64_t{1} << 62; }), HasSubstr("EB of memory"));
  EXPECT_THAT(refusal([](auto& c) { c.num_latents = 1'000'000'000'000; }), HasSubstr("TB of memory"));
}

}  // namespace
}  // namespace perceive::models::perceiver_io
