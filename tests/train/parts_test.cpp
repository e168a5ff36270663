// The small parts of a trainer, each by itself.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "perceive/core/error.h"
#include "perceive/train/autocast.h"
#include "perceive/train/classifier.h"
#include "perceive/train/early_stopping.h"
#include "perceive/train/gradients.h"
#include "perceive/train/metrics.h"
#include "perceive/train/model_checkpoint.h"
#include "perceive/train/random.h"
#include "tests/train/tiny.h"

namespace perceive::train {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

std::vector<NamedParameter> with_gradients(const std::vector<at::Tensor>& gradients) {
  std::vector<NamedParameter> parameters;
  for (const auto& gradient : gradients) {
    at::Tensor parameter = at::zeros_like(gradient);
    parameter.mutable_grad() = gradient.clone();
    parameters.push_back({"p" + std::to_string(parameters.size()), parameter});
  }
  parameters.push_back({"unused", at::zeros({2})});
  return parameters;
}

TEST(Gradients, AreClippedByTheNormOfAll) {
  const auto parameters = with_gradients({at::tensor({3.0, 0.0}), at::tensor({{0.0}, {4.0}})});
  EXPECT_DOUBLE_EQ(clip_gradients(parameters, 10, ClipAlgorithm::norm), 5);
  EXPECT_TRUE(at::equal(parameters[0].tensor.grad(), at::tensor({3.0, 0.0})));
  EXPECT_DOUBLE_EQ(clip_gradients(parameters, 1, ClipAlgorithm::norm), 5);
  const double factor = 1 / (5 + 1e-6);  // as torch.nn.utils.clip_grad_norm_
  EXPECT_TRUE(at::equal(parameters[0].tensor.grad(), at::tensor({3.0 * factor, 0.0})));
  EXPECT_TRUE(at::equal(parameters[1].tensor.grad(), at::tensor({{0.0}, {4.0 * factor}})));
}

TEST(Gradients, AreClippedByValue) {
  const auto parameters = with_gradients({at::tensor({-3.0, 0.5, 7.0})});
  clip_gradients(parameters, 2, ClipAlgorithm::value);
  EXPECT_TRUE(at::equal(parameters[0].tensor.grad(), at::tensor({-2.0, 0.5, 2.0})));
}

TEST(Gradients, AreSearchedForWhatIsNotFinite) {
  const auto parameters = with_gradients({at::ones({2}), at::tensor({1.0, INFINITY})});
  EXPECT_EQ(non_finite_gradient(parameters), "p1");
  EXPECT_EQ(non_finite_parameter(parameters), "");
  EXPECT_EQ(clip_gradients({}, 1, ClipAlgorithm::norm), 0);
}

TEST(Means, AreWeightedAndGoToTensorsAndBack) {
  Means means;
  EXPECT_TRUE(means.empty());
  means.add({at::scalar_tensor(1.0), {{"acc", at::scalar_tensor(0.5)}}, 3, {{"odds", at::scalar_tensor(1.0)}}});
  means.add({at::scalar_tensor(5.0), {{"acc", at::scalar_tensor(1.0)}}, 1, {{"odds", at::scalar_tensor(5.0)}}});
  Means other;
  other.restore(means.state());
  EXPECT_EQ(other.values("val_"), (Metrics{{"val_acc", 0.625}, {"val_loss", 2.0}, {"val_odds", std::exp(2.0)}}));
  EXPECT_EQ(text(other.values("val_")), "val_acc=0.625, val_loss=2, val_odds=7.389");
  EXPECT_THROW(means.add({at::ones({2}), {}, 1}), c10::Error);
  EXPECT_THROW(means.add({at::ones({}), {}, 0}), c10::Error);
}

TEST(EarlyStopping, FollowsItsRules) {
  const auto looks = [](const EarlyStoppingOptions& options, const std::vector<double>& values) {
    EarlyStopping stopping(options);
    for (size_t i = 0; i < values.size(); ++i) {
      stopping.look_at(values[i]);
      if (stopping.reason()) return static_cast<int>(i);
    }
    return -1;
  };
  EXPECT_EQ(looks({.patience = 2}, {5, 4, 4, 4}), 3);
  EXPECT_EQ(looks({.patience = 2}, {5, 4, 4, 3.9, 4, 4}), 5);
  EXPECT_EQ(looks({.min_delta = 0.5, .patience = 2}, {5, 4.8, 4.6}), 2);
  EXPECT_EQ(looks({.patience = 0}, {5, 4, 3}), -1);
  EXPECT_EQ(looks({.patience = 0}, {5, 4, 4}), 2);
  EXPECT_EQ(looks({.mode = Goal::max, .min_delta = 0.1, .patience = 1}, {0.5, 0.7, 0.75}), 2);
  EXPECT_EQ(looks({}, {5, NAN}), 1);
  EXPECT_EQ(looks({.patience = 2, .check_finite = false}, {5, NAN, NAN}), 2);
  EXPECT_EQ(looks({.mode = Goal::max, .stopping_threshold = 0.9}, {0.5, 0.95}), 1);
  EXPECT_EQ(looks({.divergence_threshold = 10}, {5, 11}), 1);
}

TEST(EarlyStopping, ContinuesFromItsState) {
  EarlyStopping first({.patience = 2}), second({.patience = 2});
  first.look_at(1);
  first.look_at(2);
  second.restore(nlohmann::json::parse(first.state().dump()));
  EXPECT_FALSE(second.reason());
  second.look_at(1);
  EXPECT_TRUE(second.reason());
}

TEST(CheckpointName, IsMadeOfMetrics) {
  const Metrics metrics{{"val_loss", 0.34567}, {"acc", 1}};
  EXPECT_EQ(checkpoint_name("{epoch:03d}-{val_loss:.3f}", 2, 9, metrics), "epoch=002-val_loss=0.346");
  EXPECT_EQ(checkpoint_name("epoch={epoch:03d}-val_loss={val_loss:.3f}", 2, 9, metrics), "epoch=002-val_loss=0.346");
  EXPECT_EQ(checkpoint_name("run {step} {acc:g}", 2, 9, metrics), "run step=9 acc=1");
  EXPECT_EQ(checkpoint_name("plain", 2, 9, metrics), "plain");
  for (const char* wrong : {"{val_f1}", "{epoch", "{epoch:q}", "{", "}", "a/{epoch}", "last", ".x", "{}"}) {
    EXPECT_THAT([&] { checkpoint_name(wrong, 2, 9, metrics); },
                ThrowsMessage<core::ConfigError>(HasSubstr("trainer.checkpoint.filename: ")))
        << wrong;
  }
}

TEST(ModelCheckpoint, KeepsTheEarlierOfEqualScores) {
  ModelCheckpoint checkpoint({.save_top_k = 2, .filename = "{val_loss:.1f}"});
  EXPECT_EQ(checkpoint.offer(0, 1, {{"val_loss", 0.52}}), "val_loss=0.5");
  EXPECT_EQ(checkpoint.offer(1, 2, {{"val_loss", 0.52}}), "val_loss=0.5-v1");
  EXPECT_EQ(checkpoint.offer(2, 3, {{"val_loss", 0.52}}), std::nullopt);
  EXPECT_EQ(checkpoint.offer(3, 4, {{"val_loss", NAN}}), std::nullopt);
  EXPECT_EQ(checkpoint.offer(3, 4, {{"val_loss", -INFINITY}}), std::nullopt);
  EXPECT_EQ(checkpoint.best(), "val_loss=0.5");
  EXPECT_TRUE(checkpoint.take_displaced().empty());

  ModelCheckpoint resumed(checkpoint.options());
  resumed.restore(nlohmann::json::parse(checkpoint.state().dump()));
  EXPECT_EQ(resumed.offer(4, 5, {{"val_loss", 0.51}}), "val_loss=0.5-v2");
  EXPECT_EQ(resumed.take_displaced(), std::vector<std::string>{"val_loss=0.5-v1"});
  EXPECT_TRUE(resumed.take_displaced().empty());
  EXPECT_EQ(*resumed.best_score(), 0.51);
}

TEST(ModelCheckpoint, RefusesToRankWithoutAMonitor) {
  EXPECT_THAT([] { check(ModelCheckpointOptions{.monitor = std::nullopt, .save_top_k = 3}); },
              ThrowsMessage<core::ConfigError>(HasSubstr("trainer.checkpoint.save_top_k: expected -1, 0 or 1")));
}

TEST(Autocast, CastsInItsScopeAndEndsWithAnException) {
  const at::Tensor a = at::ones({4, 4});
  {
    const Autocast autocast(true);
    EXPECT_EQ(at::mm(a, a).scalar_type(), at::kBFloat16);
    const Autocast not_here(false);
    EXPECT_EQ(at::mm(a, a).scalar_type(), at::kFloat);
  }
  try {
    const Autocast autocast(true);
    throw std::runtime_error("");
  } catch (const std::runtime_error&) {
  }
  EXPECT_EQ(at::mm(a, a).scalar_type(), at::kFloat);
}

TEST(Random, IsKeptAndSeeded) {
  seed_everything(5);
  const at::Tensor expected = at::rand({3});
  seed_everything(5);
  {
    const KeepRandomState keep;
    at::rand({10});
  }
  EXPECT_TRUE(at::equal(at::rand({3}), expected));
  for (const int64_t seed : {int64_t{0}, std::numeric_limits<int64_t>::max()}) EXPECT_NO_THROW(seed_everything(seed));
  EXPECT_THAT([] { seed_everything(-1); },
              ThrowsMessage<core::ConfigError>("seed_everything: expected 0 or more, got -1"));
  EXPECT_THROW(set_random_state(at::zeros({3}, at::kByte)), core::FileError);
}

TEST(Classifier, SaysWhatItFinds) {
  TinyLearner learner;
  learner.model->eval();
  const data::Batch batch{{"x", at::zeros({2, 5})}, {"label", at::tensor(std::vector<int64_t>{2, 0})}};
  const auto output = learner.step(batch, Stage::test);
  const at::Tensor logits = learner.model->forward(batch.at("x"));
  EXPECT_TRUE(at::allclose(output.loss, at::cross_entropy_loss(logits, batch.at("label"))));
  EXPECT_EQ(output.count, 2);
  const auto said = learner.predict(batch);
  EXPECT_TRUE(at::equal(said.at("label"), logits.argmax(1)));
  EXPECT_TRUE(at::allclose(said.at("probabilities"), logits.softmax(1)));
}

TEST(Classifier, RefusesALabelOutOfRange) {
  TinyLearner learner;
  EXPECT_THAT(
      [&] {
        learner.step({{"x", at::zeros({3, 5})}, {"label", at::tensor(std::vector<int64_t>{0, 2, 3})}}, Stage::fit);
      },
      ThrowsMessage<core::DataError>("label 3 (number 2 of a batch of 3) is outside of the model's 3 classes, 0 to 2"));
  EXPECT_THAT(
      [&] {
        learner.step({{"x", at::zeros({1, 5})}, {"label", at::tensor(std::vector<int64_t>{-1})}}, Stage::fit);
      },
      ThrowsMessage<core::DataError>(HasSubstr("label -1 (number 0 of a batch of 1)")));
  EXPECT_THAT(
      [&] {
        learner.step({{"x", at::zeros({1, 5})}}, Stage::fit);
      },
      ThrowsMessage<core::DataError>(HasSubstr("the data has no 'label'")));
}

}  // namespace
}  // namespace perceive::train
