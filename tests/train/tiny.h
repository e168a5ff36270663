// A data set and a model that train in milliseconds, and a folder of its own for each test.
#pragma once

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/nn/modules/dropout.h>
#include <torch/nn/modules/linear.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <sstream>
#include <string>

#include "perceive/core/log.h"
#include "perceive/data/module.h"
#include "perceive/data/tensor_dataset.h"
#include "perceive/train/classifier.h"
#include "perceive/train/trainer.h"

namespace perceive::train {

// 53 examples of 5 features in 3 classes, and 17 more to validate and test with.
struct TinyData : data::DataModule {
  TinyData() {
    const at::Tensor features = (at::arange(70 * 5, at::kFloat) * 0.7).sin().reshape({70, 5});
    const at::Tensor label = features.slice(1, 0, 3).argmax(1);
    const auto part = [&](int64_t begin, int64_t end) {
      return std::make_shared<data::TensorDataset>(
          data::Batch{{"x", features.slice(0, begin, end)}, {"label", label.slice(0, begin, end)}});
    };
    train_set = part(0, 53);
    other_set = part(53, 70);
  }
  std::unique_ptr<data::Loader> loader(std::shared_ptr<const data::Dataset> set, bool shuffle) const {
    return std::make_unique<data::Loader>(
        set,
        data::LoaderOptions{.batch_size = batch_size, .shuffle = shuffle, .num_workers = num_workers, .seed = seed});
  }
  std::unique_ptr<data::Loader> train() const override { return loader(train_set, true); }
  std::unique_ptr<data::Loader> validation() const override {
    return with_validation ? loader(other_set, false) : nullptr;
  }
  std::unique_ptr<data::Loader> test() const override { return loader(other_set, false); }
  std::unique_ptr<data::Loader> predict() const override { return loader(other_set, false); }
  std::string fingerprint() const override { return train_set->fingerprint(); }

  std::shared_ptr<const data::Dataset> train_set, other_set;
  int64_t batch_size = 5, num_workers = 0;
  uint64_t seed = 3;
  bool with_validation = true;
};

struct TinyModel : torch::nn::Module {
  explicit TinyModel(int64_t width = 7) {
    at::manual_seed(11);
    first = register_module("first", torch::nn::Linear(5, width));
    dropout = register_module("dropout", torch::nn::Dropout(0.2));
    second = register_module("second", torch::nn::Linear(width, 3));
    seen = register_buffer("seen", at::zeros({}, at::kLong));
    for (auto& parameter : parameters()) parameter.requires_grad_(true);
  }
  at::Tensor forward(const at::Tensor& x) {
    if (is_training()) seen.add_(x.size(0));
    return second(dropout(at::tanh(first(x))));
  }
  torch::nn::Linear first{nullptr}, second{nullptr};
  torch::nn::Dropout dropout{nullptr};
  at::Tensor seen;
};

// Calls `before_step` with the number of the call, counted by stage, before each step.
struct TinyLearner : Classifier {
  explicit TinyLearner(std::shared_ptr<TinyModel> model = std::make_shared<TinyModel>())
      : Classifier(model, [model](const data::Batch& batch) { return model->forward(batch.at("x")); }), model(model) {}
  StepOutput step(const data::Batch& batch, Stage stage) override {
    if (before_step) before_step(stage, calls[stage]);
    ++calls[stage];
    StepOutput output = Classifier::step(batch, stage);
    return after_step ? after_step(output, stage) : output;
  }
  std::shared_ptr<TinyModel> model;
  std::function<void(Stage, int64_t)> before_step;
  std::function<StepOutput(StepOutput, Stage)> after_step;
  std::map<Stage, int64_t> calls;
};

class InAFolder : public testing::Test {
 protected:
  InAFolder() {
    const auto* info = testing::UnitTest::GetInstance()->current_test_info();
    root = std::filesystem::temp_directory_path() /
           (std::string("perceive_") + info->name() + "_" + std::to_string(::getpid()));
    std::filesystem::remove_all(root);
    core::set_log_level(core::LogLevel::off);
  }
  ~InAFolder() override {
    std::filesystem::remove_all(root);
    core::set_log_level_from_environment();
  }

  TrainerOptions options() const {
    return {.default_root_dir = root.string(), .max_epochs = 3, .log_every_n_steps = 2, .enable_progress_bar = false};
  }
  std::filesystem::path run(int version) const { return root / "default" / ("version_" + std::to_string(version)); }
  static std::string bytes(const std::filesystem::path& file) {
    std::ostringstream text;
    text << std::ifstream(file, std::ios::binary).rdbuf();
    return text.str();
  }
  static std::string weights(const std::filesystem::path& checkpoint) {
    return bytes(checkpoint / "model.safetensors");
  }

  std::filesystem::path root;
};

}  // namespace perceive::train
