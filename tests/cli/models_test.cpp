// run, models, inspect, convert, as a user calls them.
#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "perceive/io/names.h"
#include "perceive/io/tensors.h"
#include "perceive/models/catalog.h"
#include "perceive/models/dialects/flash_perceiver/perceiver.h"
#include "tests/cli/process.h"

namespace perceive::tests {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

const nlohmann::json kArgs{{"input_dim", 6},      {"depth", 2},           {"num_latents", 4},
                           {"latent_dim", 16},    {"cross_heads", 2},     {"cross_head_dim", 4},
                           {"latent_heads", 2},   {"latent_head_dim", 8}, {"use_flash_attn", false},
                           {"num_zero_tokens", 2}};

models::flash_perceiver::PerceiverConfig config() {
  models::flash_perceiver::PerceiverConfig config;
  config.input_dim = 6;
  config.depth = 2;
  config.num_latents = 4;
  config.latent_dim = 16;
  config.cross_heads = 2;
  config.cross_head_dim = 4;
  config.latent_heads = 2;
  config.latent_head_dim = 8;
  config.use_flash_attn = false;
  config.num_zero_tokens = 2;
  return config;
}

// A model with its files in a folder.
struct Files : Folder {
  explicit Files(at::ScalarType dtype = at::kDouble) {
    at::manual_seed(1);
    model = models::flash_perceiver::Perceiver(config());
    model->to(dtype);
    model->eval();
    data = at::randn({2, 5, 6}, dtype);
    mask = at::tensor({1, 0, 1, 1, 0, 1, 1, 1, 1, 1}).view({2, 5}).to(at::kBool);
    describe({{"class", "flash_perceiver.Perceiver"}, {"version", "0.2.0"}, {"args", kArgs}});
    io::save_tensors(path("W"), io::named_tensors(*model));
    io::save_tensors(path("IN"), {{"data", data}, {"mask", mask}});
  }
  std::string path(const std::string& name) const { return (*this / (name + ".safetensors")).string(); }
  std::string m() const { return (*this / "M.json").string(); }
  void describe(const nlohmann::json& description) const { write(m(), description.dump()); }
  Ended run(std::vector<std::string> more) const {
    std::vector<std::string> words{"run", "--model", m(), "--weights", path("W"), "--inputs", path("IN")};
    words.insert(words.end(), more.begin(), more.end());
    return perceive(words);
  }

  models::flash_perceiver::Perceiver model{nullptr};
  at::Tensor data, mask;
};

TEST(Run, GivesOutputsAndGradients) {
  for (const auto dtype : {at::kDouble, at::kFloat}) {
    Files files(dtype);
    auto data = files.data.clone().requires_grad_();
    const auto output = files.model->forward({data, files.mask});
    const auto cotangent = at::randn_like(output);
    io::save_tensors(files.path("C"), {{"output", cotangent}});
    const auto ended =
        files.run({"--outputs", files.path("OUT"), "--cotangents", files.path("C"), "--grads", files.path("G")});
    ASSERT_EQ(ended.code, 0) << ended.err;
    EXPECT_TRUE(at::equal(io::load_tensors(files.path("OUT")).at("output"), output));
    output.backward(cotangent);
    const auto grads = io::load_tensors(files.path("G"));
    EXPECT_TRUE(at::allclose(grads.at("inputs.data"), data.grad(), 1e-5, 1e-6));
    size_t count = 1;
    for (const auto& item : files.model->named_parameters()) {
      const bool wanted = item.value().grad().defined();
      EXPECT_EQ(grads.count("weights." + item.key()), wanted ? 1U : 0U) << item.key();
      count += wanted;
      if (!wanted) continue;
      EXPECT_TRUE(at::allclose(grads.at("weights." + item.key()), item.value().grad(), 1e-4, 1e-5)) << item.key();
    }
    EXPECT_EQ(grads.size(), count);  // zero_tokens.1 has none: one input stands behind the first block's
    EXPECT_EQ(grads.count("weights.zero_tokens.1"), 0U);
  }
}

TEST(Run, CallsTheFirstArgumentX) {
  Files files;
  io::save_tensors(files.path("IN"), {{"x", files.data}});
  ASSERT_EQ(files.run({"--outputs", files.path("OUT")}).code, 0);
  EXPECT_TRUE(at::equal(io::load_tensors(files.path("OUT")).at("output"), files.model->forward(files.data)));
}

TEST(Run, DrawsTheAttentionOfEachHead) {
  Files files;
  const auto picture = (files / "attention.png").string();
  auto ended = files.run({"--attention", picture});
  EXPECT_EQ(ended.code, 2);
  EXPECT_THAT(ended.err, HasSubstr("--attention: the model gave no attention weights; ask for them in args_forward"));
  files.describe(
      {{"class", "flash_perceiver.Perceiver"}, {"args", kArgs}, {"args_forward", {{"return_attn_weights", true}}}});
  ended = files.run({"--attention", picture});
  ASSERT_EQ(ended.code, 0) << ended.err;
  EXPECT_GT(std::filesystem::file_size(picture), 1000U);
}

// A decoder and a language model too, of which the original's Visualizer cannot.
TEST(Run, DrawsTheAttentionOfLinformers) {
  const Folder folder;
  const auto path = [&](const char* name) { return (folder / name).string(); };
  const nlohmann::json args{{"input_size", 11}, {"channels", 8}, {"dim_k", 4}, {"nhead", 2}, {"decoder_mode", true}};
  auto lm = args;
  lm["num_tokens"] = 7;
  for (const auto& [name, given] : {std::pair{"Linformer", args}, {"LinformerLM", lm}}) {
    const bool tokens = std::string(name) == "LinformerLM";
    const nlohmann::json description{
        {"class", std::string("linformer_pytorch.") + name}, {"args", given}, {"args_forward", {{"visualize", true}}}};
    write(path("M.json"), description.dump());
    io::save_tensors(path("W.safetensors"), models::load_model(description, "M.json").model->state_dict());
    io::save_tensors(path("IN.safetensors"),
                     {{"tensor", tokens ? at::arange(11).remainder(7).unsqueeze(0) : at::randn({1, 11, 8})},
                      {"embeddings", at::randn({1, 11, 8})}});
    const auto ended = perceive({"run", "--model", path("M.json"), "--weights", path("W.safetensors"), "--inputs",
                                 path("IN.safetensors"), "--attention", path("heads.png")});
    ASSERT_EQ(ended.code, 0) << ended.err;
    EXPECT_GT(std::filesystem::file_size(path("heads.png")), 1000U);
    std::filesystem::remove(path("heads.png"));
  }
}

TEST(Run, TakesFlagsOfForward) {
  Files files;
  files.describe(
      {{"class", "flash_perceiver.Perceiver"}, {"args", kArgs}, {"args_forward", {{"return_attn_weights", true}}}});
  ASSERT_EQ(files.run({"--outputs", files.path("OUT")}).code, 0);
  const auto outputs = io::load_tensors(files.path("OUT"));
  EXPECT_EQ(outputs.size(), 5U);
  EXPECT_EQ(outputs.at("attn_weights.0").sizes(), at::IntArrayRef({2, 2, 4, 7}));
}

TEST(Run, ChecksAgainstExpectedTensors) {
  Files files;
  const auto expected = files.model->forward({files.data, files.mask}).detach();
  io::save_tensors(files.path("E"), {{"output", expected}});
  auto ended = files.run({"--check", files.path("E")});
  EXPECT_EQ(ended.code, 0) << ended.err;
  EXPECT_THAT(ended.out, AllOf(HasSubstr("ok"), HasSubstr("1 of 1 tensors agree")));
  io::save_tensors(files.path("E"), {{"output", expected + 1e-6}});
  ended = files.run({"--check", files.path("E")});
  EXPECT_EQ(ended.code, 1);
  EXPECT_THAT(ended.out, AllOf(HasSubstr("FAIL"), HasSubstr("largest difference 1e-06"), HasSubstr("0 of 1")));
  EXPECT_EQ(files.run({"--check", files.path("E"), "--atol", "1e-5"}).code, 0);
  io::save_tensors(files.path("E"), {{"output", expected}, {"latents", expected}});
  ended = files.run({"--check", files.path("E")});
  EXPECT_EQ(ended.code, 1);
  EXPECT_THAT(ended.out, HasSubstr("missing"));
}

TEST(Run, RefusesInWords) {
  const Files files;
  const auto refused = [&](const nlohmann::json& description, const std::string& words, int code) {
    files.describe(description);
    const auto ended = files.run({"--outputs", files.path("OUT")});
    EXPECT_EQ(ended.code, code) << ended.err;
    EXPECT_THAT(ended.err, HasSubstr(words));
  };
  const std::string name = "flash_perceiver.Perceiver";
  refused({{"class", "flash_perceiver.Percever"}}, "did you mean flash_perceiver.Perceiver?", 2);
  refused({{"class", name}, {"version", "9"}}, "version: flash_perceiver.Perceiver is known here as of 0.2.0", 2);
  refused({{"class", name}, {"arguments", kArgs}}, "'arguments' is not known here; a model has class, version, args",
          2);
  auto args = kArgs;
  args["laten_dim"] = 3;
  refused({{"class", name}, {"args", args}}, "did you mean latent_dim?", 2);
  args = kArgs;
  args["latent_heads"] = 3;
  refused({{"class", name}, {"args", args}}, "embed_dim must be divisible by num_heads: latent_heads=3", 2);
  args = kArgs;
  args["depth"] = 3;
  refused({{"class", name}, {"args", args}}, "missing", 4);
  files.describe({{"class", name}, {"args", kArgs}});
  const auto with = [&](const io::Tensors& inputs, const std::string& words) {
    io::save_tensors(files.path("IN"), inputs);
    const auto ended = files.run({"--outputs", files.path("OUT")});
    EXPECT_EQ(ended.code, 3) << ended.err;
    EXPECT_THAT(ended.err, AllOf(HasSubstr("IN.safetensors"), HasSubstr(words)));
  };
  with({{"data", files.data}, {"maks", files.mask}}, "there is no argument maks, did you mean mask?");
  with({{"mask", files.mask}}, "the argument data is missing");
  with({{"data", files.data.narrow(2, 0, 5)}}, "must be [B, M, 6]; got [2, 5, 5]");
  with({{"data.0", files.data}, {"data.2", files.data}}, "data.1 is missing");
  with({{"data", files.data}, {"mask", files.data}}, "expected a mask of dtype bool");
  EXPECT_EQ(perceive({"run", "--model", files.m()}).code, 2);
}

TEST(Models, ListsClassesAndArguments) {
  const auto all = perceive({"models"});
  EXPECT_EQ(all.code, 0) << all.err;
  EXPECT_THAT(all.out, AllOf(HasSubstr("perceive.Perceiver"), HasSubstr("flash_perceiver.PerceiverIO"),
                             HasSubstr("perceiver_io.image_classifier")));
  const auto one = perceive({"models", "flash_perceiver.Perceiver"});
  EXPECT_EQ(one.code, 0) << one.err;
  EXPECT_THAT(one.out, AllOf(HasSubstr("latent_heads"), HasSubstr("int or null = 8"), HasSubstr("(required)")));
  EXPECT_THAT(perceive({"models", "flash_perciever.Perceiver"}).err, HasSubstr("did you mean"));
}

TEST(Inspect, ShowsNamesShapesAndTotals) {
  const Files files;
  const auto ended = perceive({"inspect", files.path("W")});
  EXPECT_EQ(ended.code, 0) << ended.err;
  EXPECT_THAT(ended.out, AllOf(HasSubstr("layers.0.0.mixer.Wkv.weight"), HasSubstr("[16, 6]"), HasSubstr("Double")));
  EXPECT_EQ(perceive({"inspect", files.m()}).code, 4);
}

TEST(Inspect, TakesACheckpointOrARunForItsLast) {
  const Files files;
  const auto last = files / "run/checkpoints/last";
  std::filesystem::create_directories(last);
  std::filesystem::copy_file(files.path("W"), last / "model.safetensors");
  EXPECT_THAT(perceive({"inspect", last.string()}).out, HasSubstr("layers.0.0.mixer.Wkv.weight"));
  EXPECT_THAT(perceive({"inspect", (files / "run").string()}).err, HasSubstr("state.json"));
  write(last / "state.json", "{}");
  EXPECT_THAT(perceive({"inspect", (files / "run").string()}).out, HasSubstr("layers.0.0.mixer.Wkv.weight"));
}

TEST(Convert, MakesANativeModelOfTheSameNumbers) {
  const Files files;
  const auto native = (files / "native.json").string();
  const auto ended =
      perceive({"convert", files.path("W"), files.path("N"), "--model", files.m(), "--to_model", native});
  ASSERT_EQ(ended.code, 0) << ended.err;
  EXPECT_THAT(contents(native), HasSubstr("perceive.Perceiver"));
  io::save_tensors(files.path("IN"), {{"data", files.data}, {"data_mask", files.mask}});
  const auto run = perceive({"run", "--model", native, "--weights", files.path("N"), "--inputs", files.path("IN"),
                             "--outputs", files.path("OUT")});
  ASSERT_EQ(run.code, 0) << run.err;
  auto model = files.model;
  EXPECT_TRUE(at::allclose(io::load_tensors(files.path("OUT")).at("output"), model->forward({files.data, files.mask}),
                           1e-12, 1e-12));
}

TEST(Run, TakesTheStateDictOfAModuleThatHoldsTheModel) {
  const Files files;
  io::Tensors wrapped;
  for (const auto& [name, tensor] : io::load_tensors(files.path("W"))) wrapped.emplace("model." + name, tensor);
  io::save_tensors(files.path("L.ckpt"), wrapped);
  for (const auto* weights : {"W", "L.ckpt"}) {
    const auto run = perceive({"run", "--model", files.m(), "--weights", files.path(weights), "--inputs",
                               files.path("IN"), "--outputs", files.path(std::string("of_") + weights)});
    ASSERT_EQ(run.code, 0) << run.err;
  }
  EXPECT_TRUE(
      io::load_tensors(files.path("of_W")).at("output").equal(io::load_tensors(files.path("of_L.ckpt")).at("output")));
}

TEST(Convert, RenamesBetweenVersions) {
  const Folder folder;
  const auto path = [&](const char* name) { return (folder / name).string(); };
  nlohmann::json description{{"class", "perceiver_pytorch.PerceiverIO"},
                             {"version", "0.9.0"},
                             {"args",
                              {{"dim", 6},
                               {"queries_dim", 5},
                               {"depth", 2},
                               {"num_latents", 3},
                               {"latent_dim", 8},
                               {"cross_dim_head", 4},
                               {"latent_heads", 2},
                               {"latent_dim_head", 4},
                               {"weight_tie_layers", true}}}};
  at::manual_seed(2);
  io::save_tensors(path("old.pt"), models::load_model(description, "test").model->state_dict());
  io::save_tensors(path("in.safetensors"), {{"data", at::randn({2, 7, 6})}, {"queries", at::randn({4, 5})}});
  write(folder / "old.json", description.dump());
  description["version"] = "0.11.0";
  write(folder / "new.json", description.dump());
  const auto ended = perceive(
      {"convert", path("old.pt"), path("new.safetensors"), "--model", path("old.json"), "--to_version", "0.11.0"});
  ASSERT_EQ(ended.code, 0) << ended.err;
  EXPECT_EQ(io::load_tensors(path("new.safetensors")).count("cross_attend_block.cross_attn.fn.to_q.weight"), 1U);
  const auto run = [&](const char* model, const char* weights) {
    const auto done = perceive({"run", "--model", path(model), "--weights", path(weights), "--inputs",
                                path("in.safetensors"), "--outputs", path("out.safetensors")});
    EXPECT_EQ(done.code, 0) << done.err;
    return io::load_tensors(path("out.safetensors")).at("output");
  };
  EXPECT_TRUE(at::equal(run("old.json", "old.pt"), run("new.json", "new.safetensors")));
}

}  // namespace
}  // namespace perceive::tests
