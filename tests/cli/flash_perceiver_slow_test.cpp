// The CIFAR-10 example through the program: its model, made tiny, on a few made-up images of both data sets.
#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "cli/pictures/canvas.h"
#include "perceive/io/tensors.h"
#include "tests/cli/process.h"
#include "tests/cli/tiny.h"

namespace perceive::tests {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ContainsRegex;
using testing::EndsWith;
using testing::HasSubstr;
using Words = std::vector<std::string>;

void write_tiny_cifar(const fs::path& folder) {
  fs::create_directories(folder);
  for (const auto* name :
       {"data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"}) {
    std::string records;
    for (int i = 0; i < 10; ++i) {
      records += static_cast<char>(i);
      for (int at = 0; at < 3 * 32 * 32; ++at) records += static_cast<char>(25 * i + at % 11);
    }
    write(folder / (std::string(name) + ".bin"), records);
  }
}

class Cifar10Example : public testing::Test {
 protected:
  Ended fit(const Words& data) const {
    return perceive(Words{"img_clf", "fit", "--config", PERCEIVE_ROOT "/examples/cifar10.yaml"} + data +
                    Words{"--data.data_dir=" + data_.string(), "--data.batch_size=8", "--data.val_split=10",
                          "--data.num_workers=0", "--model.num_latents=2", "--model.latent_dim=8",
                          "--model.latent_heads=1", "--model.adapter.embed_dim=8", "--model.adapter.patch_size=4",
                          "--model.self_per_cross_attn=1", "--trainer.max_epochs=1",
                          "--trainer.default_root_dir=" + logs_.string()});
  }

  const Folder data_, logs_;
  const fs::path run_ = logs_ / "img_clf/version_0";
};

TEST_F(Cifar10Example, TrainsTestsAndPredicts) {
  write_tiny_cifar(data_ / "cifar-10-batches-bin");
  const auto ended = fit({});
  EXPECT_EQ(ended.code, 0) << ended.err;
  EXPECT_THAT(ended.out, AllOf(ContainsRegex("val_acc=[0-9.]+"), EndsWith("curves.png, samples.png\n")));
  EXPECT_FALSE(fs::exists(run_ / "attention.png"));
  const auto tested = perceive({"img_clf", "test", "--ckpt_path=" + run_.string()});
  EXPECT_EQ(tested.code, 0) << tested.err;
  EXPECT_THAT(tested.out, ContainsRegex("test_acc="));
  cli::Canvas(40, 30).save(data_ / "white.png");
  const auto predicted =
      perceive({"img_clf", "predict", "--ckpt_path=" + run_.string(), (data_ / "white.png").string()});
  EXPECT_EQ(predicted.code, 0) << predicted.err;
  EXPECT_THAT(predicted.out, HasSubstr("1 images"));
}

TEST_F(Cifar10Example, RunsOnFashionMnist) {
  write_tiny_mnist(data_);
  const auto ended = fit({"--data=FashionMnist"});
  EXPECT_EQ(ended.code, 0) << ended.err;
  EXPECT_THAT(ended.out, EndsWith("curves.png, samples.png\n"));
}

TEST_F(Cifar10Example, ItsCheckpointIsAModelForRun) {
  write_tiny_mnist(data_);
  ASSERT_EQ(fit({"--data=FashionMnist"}).code, 0);
  const auto state = nlohmann::json::parse(contents(run_ / "checkpoints/last/state.json"));
  const nlohmann::json model{{"class", "perceive.FlashPerceiver"},
                             {"args", state.at("config").at("model").at("init_args")}};
  write(data_ / "model.json", model.dump());
  io::save_tensors(data_ / "in.safetensors", {{"x", at::rand({3, 28, 28, 1})}});
  const auto out = data_ / "out.safetensors";
  const auto ended =
      perceive({"run", "--model", data_ / "model.json", "--weights", run_ / "checkpoints/last/model.safetensors",
                "--inputs", data_ / "in.safetensors", "--outputs", out});
  EXPECT_EQ(ended.code, 0) << ended.err;
  EXPECT_EQ(io::load_tensors(out).at("output").sizes(), at::IntArrayRef({3, 10}));
}

TEST_F(Cifar10Example, WithoutDataSaysWhereItLookedAndHowToGetIt) {
  const auto ended = fit({});
  EXPECT_EQ(ended.code, 3);
  EXPECT_THAT(ended.err, AllOf(HasSubstr(data_.string()), HasSubstr("cifar-10-binary.tar.gz")));
}

}  // namespace
}  // namespace perceive::tests
