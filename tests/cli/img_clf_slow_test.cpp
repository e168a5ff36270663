// Image classification by the program, from training to predictions, on a data set of a few images.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>

#include "cli/pictures/canvas.h"
#include "tests/cli/process.h"
#include "tests/cli/tiny.h"

namespace perceive::tests {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ContainsRegex;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;
using Words = std::vector<std::string>;

class ImgClf : public testing::Test {
 protected:
  ImgClf() { write_tiny_mnist(data_); }

  Words words(const std::string& stage, const Words& more = {}) const { return tiny(stage, data_, logs_, more); }
  Ended run(const std::string& stage, const Words& more = {}, const Surroundings& surroundings = {}) const {
    return perceive(words(stage, more), surroundings);
  }
  // Of the runs so far.
  fs::path version(int number) const { return logs_ / ("img_clf/version_" + std::to_string(number)); }

  const Folder data_, logs_;
};

TEST_F(ImgClf, FitLeavesARunFolderWithPictures) {
  const auto ended = run("fit");
  EXPECT_EQ(ended.code, 0) << ended.err;
  for (const auto* name : {"config.yaml", "metrics.csv", "curves.png", "samples.png", "attention.png",
                           "checkpoints/last/model.safetensors", "checkpoints/last/state.json"}) {
    EXPECT_TRUE(fs::exists(version(0) / name)) << name;
  }
  EXPECT_THAT(ended.out, AllOf(ContainsRegex("val_acc=[0-9.]+"), HasSubstr(version(0).string()),
                               EndsWith("curves.png, samples.png, attention.png\n")));
  EXPECT_THAT(ended.err, Not(HasSubstr("\r")));
}

TEST_F(ImgClf, TheRunKeepsItsConfigurationAsPrinted) {
  const auto printed = run("fit", {"--print_config"}).out;
  run("fit");
  EXPECT_EQ(contents(version(0) / "config.yaml"), printed);
}

TEST_F(ImgClf, AnUnseededRunNamesTheSeedThatItTook) {
  run("fit", {"--seed_everything=null"});
  EXPECT_THAT(contents(version(0) / "config.yaml"), ContainsRegex("seed_everything: [0-9]+\n"));
}

TEST_F(ImgClf, ASecondRunGetsAFolderOfItsOwn) {
  run("fit");
  const auto config = contents(version(0) / "config.yaml");
  run("fit", {"--model.num_latents=3"});
  EXPECT_EQ(contents(version(0) / "config.yaml"), config);
  EXPECT_THAT(contents(version(1) / "config.yaml"), HasSubstr("num_latents: 3\n"));
}

TEST_F(ImgClf, ACheckpointIsEnoughToValidateTestAndPredict) {
  run("fit");
  const auto logs = "--trainer.default_root_dir=" + logs_.string();
  const auto last = "--ckpt_path=" + (version(0) / "checkpoints/last").string();
  EXPECT_THAT(perceive({"img_clf", "validate", last}).out, ContainsRegex("val_acc=.*val_loss=.*version_0"));
  for (const auto& checkpoint : {last, "--ckpt_path=" + version(0).string()}) {
    fs::remove(version(0) / "samples.png");
    const auto ended = perceive({"img_clf", "test", checkpoint});
    EXPECT_EQ(ended.code, 0) << ended.err;
    EXPECT_THAT(ended.out, AllOf(ContainsRegex("test_acc=.*test_loss="), HasSubstr("samples.png")));
    EXPECT_TRUE(fs::exists(version(0) / "samples.png"));
  }
  for (const auto* which : {"last", "best"}) {
    EXPECT_EQ(perceive({"img_clf", "test", "--ckpt_path", which, logs}).code, 0);
  }
  const auto predicted = perceive({"img_clf", "predict", "--ckpt_path=last", logs, "--top_k=2"});
  EXPECT_EQ(predicted.code, 0) << predicted.err;
  EXPECT_THAT(predicted.out, AllOf(HasSubstr("test 9"), HasSubstr("10 images")));
  EXPECT_THAT(contents(version(0) / "predictions.csv"),
              AllOf(StartsWith("image,class,probability,class_2,probability_2,truth\ntest 0,"), HasSubstr(",3\n")));
}

TEST_F(ImgClf, WhatAFlagSaysStandsOverTheCheckpoint) {
  run("fit");
  const auto printed =
      perceive({"img_clf", "test", "--ckpt_path=" + version(0).string(), "--data.batch_size=5", "--print_config"});
  EXPECT_THAT(printed.out, AllOf(HasSubstr("batch_size: 5\n"), HasSubstr("num_latents: 2\n")));
}

TEST_F(ImgClf, PredictsPicturesInFilesAndFolders) {
  run("fit");
  const Folder pictures(" with a space, and ü");
  fs::create_directories(pictures / "below");
  cli::Canvas(40, 30).save(pictures / "white, \"quoted\".png");
  cli::Canvas(28, 28).save(pictures / "below/b.PNG");
  write(pictures / "notes.txt", "no picture");
  const auto output = pictures / "out.csv";
  const auto ended = perceive(
      {"img_clf", "predict", "--ckpt_path=" + version(0).string(), "--output=" + output.string(), pictures.string()});
  EXPECT_EQ(ended.code, 0) << ended.err;
  EXPECT_THAT(ended.out, AllOf(HasSubstr("below/b.PNG"), HasSubstr("2 images")));
  EXPECT_THAT(ended.err, HasSubstr("1 file"));
  EXPECT_THAT(contents(output),
              AllOf(StartsWith("image,class,probability\n"), HasSubstr("white, \"\"quoted\"\".png\",")));
}

TEST_F(ImgClf, PicturesThatAreNoneEndWithTheCodeOfData) {
  run("fit");
  const Folder pictures;
  write(pictures / "broken.png", "\x89PNG\r\n\x1a\nnothing");
  const Words predict{"img_clf", "predict", "--ckpt_path=" + version(0).string()};
  const auto broken = perceive(predict + Words{pictures / "broken.png"});
  EXPECT_EQ(broken.code, 3);
  EXPECT_THAT(broken.err, HasSubstr("broken.png"));
  const auto missing = perceive(predict + Words{"nowhere.jpg"});
  EXPECT_EQ(missing.code, 3);
  EXPECT_THAT(missing.err, HasSubstr("nowhere.jpg"));
}

TEST_F(ImgClf, MissingDataEndsWithTheCodeOfDataAndSaysWhereToGetIt) {
  const auto ended = run("fit", {"--data.data_dir=/none"});
  EXPECT_EQ(ended.code, 3);
  EXPECT_THAT(ended.err, AllOf(HasSubstr("/none"), HasSubstr("data_dir")));
}

TEST_F(ImgClf, CheckpointsThatAreNoneEndWithTheirCode) {
  for (const auto* path : {"last", "best", "/none"}) {
    const auto ended = run("test", {std::string("--ckpt_path=") + path});
    EXPECT_EQ(ended.code, 4) << path;
    EXPECT_THAT(ended.err, HasSubstr("checkpoint")) << path;
  }
  run("fit");
  const auto model = version(0) / "checkpoints/last/model.safetensors";
  auto bytes = contents(model);
  bytes.back() ^= 1;
  write(model, bytes);
  const auto ended = run("test", {"--ckpt_path=" + version(0).string()});
  EXPECT_EQ(ended.code, 4);
  EXPECT_THAT(ended.err, HasSubstr("model.safetensors"));
}

TEST_F(ImgClf, ACheckpointOfAnotherShapeIsRefusedByName) {
  run("fit");
  const auto ended = run("test", {"--ckpt_path=" + version(0).string(), "--model.num_latents=5"});
  EXPECT_EQ(ended.code, 4);
  EXPECT_THAT(ended.err, HasSubstr("0.latent"));
}

TEST_F(ImgClf, NumbersThatExplodeEndWithTheirCode) {
  const auto ended = run("fit", {"--optimizer=SGD", "--optimizer.lr=1e30", "--trainer.max_epochs=4"});
  EXPECT_EQ(ended.code, 5) << ended.err;
  EXPECT_THAT(ended.err, AllOf(HasSubstr("step"), HasSubstr("lr")));
}

TEST_F(ImgClf, TrainsTheNativeModelToo) {
  const auto ended =
      perceive({"img_clf", "fit", "--data=MnistDataModule", "--data.data_dir=" + data_.string(), "--data.val_split=32",
                "--data.batch_size=8", "--model=PerceiverIO", "--model.encoder.num_latents=2",
                "--model.encoder.num_latent_channels=8", "--model.encoder.self.heads=2",
                "--model.output.query_channels=8", "--model.input.frequency_bands=2", "--optimizer=Adam",
                "--trainer.max_epochs=1", "--trainer.default_root_dir=" + logs_.string()});
  EXPECT_EQ(ended.code, 0) << ended.err;
  EXPECT_TRUE(fs::exists(version(0) / "attention.png"));
}

TEST_F(ImgClf, ActivationCheckpointingChangesNoWeight) {
  run("fit");
  run("fit", {"--model.activation_checkpointing=true"});
  EXPECT_EQ(contents(version(0) / "checkpoints/last/model.safetensors"),
            contents(version(1) / "checkpoints/last/model.safetensors"));
}

TEST_F(ImgClf, ReadersThatGoAwayDoNotEndTheRun) {
  const auto ended = run("fit", {}, {.stdout_closed_pipe = true});
  EXPECT_EQ(ended.code, 0) << ended.err;
  EXPECT_TRUE(fs::exists(version(0) / "samples.png"));
  EXPECT_EQ(perceive({"img_clf", "fit", "--help"}, {.stdout_closed_pipe = true}).code, 0);
  EXPECT_EQ(perceive({"info"}, {.stdout_closed_pipe = true}).code, 0);
}

TEST_F(ImgClf, OddSurroundingsChangeNothing) {
  run("fit");
  const auto expected = contents(version(0) / "metrics.csv");
  EXPECT_THAT(expected, Not(IsEmpty()));
  int number = 0;
  for (const Surroundings& odd : std::vector<Surroundings>{{.set = {"LANG=de_DE.UTF-8", "LC_ALL=de_DE.UTF-8"}},
                                                           {.unset = {"HOME", "XDG_CACHE_HOME"}},
                                                           {.set = {"TERM=dumb", "NO_COLOR=1"}},
                                                           {.folder = "/"}}) {
    const auto ended = run("fit", {}, odd);
    EXPECT_EQ(ended.code, 0) << ended.err;
    EXPECT_THAT(ended.err, Not(HasSubstr("\x1b")));
    EXPECT_EQ(contents(version(++number) / "metrics.csv"), expected);
  }
}

TEST_F(ImgClf, PathsMayHoldSpacesUmlautsAndBeLong) {
  const Folder strange(" mit Leerzeichen äöü 数据");
  const auto logs = strange / std::string(200, 'l');
  const auto ended = run("fit", {"--trainer.default_root_dir=" + logs.string()});
  EXPECT_EQ(ended.code, 0) << ended.err;
  EXPECT_TRUE(fs::exists(logs / "img_clf/version_0/samples.png"));
}

TEST_F(ImgClf, AFolderThatCannotBeWrittenIsNamedBeforeTraining) {
  const auto ended = run("fit", {"--trainer.default_root_dir=/proc/none"});
  EXPECT_EQ(ended.code, 4);
  EXPECT_THAT(ended.err, AllOf(HasSubstr("/proc/none"), Not(HasSubstr("fit 1/1"))));
}

TEST_F(ImgClf, PicturesThatCannotBeWrittenAreAWarning) {
  run("fit");
  fs::remove(version(0) / "samples.png");
  fs::create_directories(version(0) / "samples.png");
  const auto ended = run("test", {"--ckpt_path=" + version(0).string()});
  EXPECT_EQ(ended.code, 0);
  EXPECT_THAT(ended.err, HasSubstr("samples.png"));
  EXPECT_THAT(ended.out, HasSubstr("test_acc"));
}

}  // namespace
}  // namespace perceive::tests
