// The searches before a run: what they find, and that they leave nothing behind.
#include <gmock/gmock.h>

#include <cmath>

#include "perceive/core/error.h"
#include "perceive/io/names.h"
#include "perceive/train/batch_size.h"
#include "perceive/train/lr_find.h"
#include "perceive/train/random.h"
#include "tests/train/tiny.h"

namespace perceive::train {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::ThrowsMessage;

class Tune : public InAFolder {
 protected:
  LrFindResult find(TinyLearner& learner, const LrFindOptions& o = {}, const OptimizerOptions& optimizer = SGDOptions{},
                    TrainerOptions trainer = {}) const {
    trainer.enable_progress_bar = false;
    const auto loader = TinyData().train();
    return find_lr(learner, *loader, optimizer, trainer, o);
  }
};

TEST_F(Tune, TheRateRisesAsInLightning) {
  const LrFindOptions o;
  EXPECT_EQ(rate_at(o, 0), 1e-8);
  EXPECT_NEAR(rate_at(o, 1) / std::pow(10, -8 + 8 * 0.02), 1, 1e-12);
  EXPECT_NEAR(rate_at(o, 49), 1e-4, 1e-15);
  EXPECT_NEAR(rate_at(o, 99), 1, 1e-12);
  EXPECT_NEAR(rate_at({.min_lr = 0.1, .max_lr = 0.5, .num_training = 4, .mode = RateSpacing::linear}, 1), 0.3, 1e-15);
}

TEST_F(Tune, TheSuggestionIsWhereTheLossFallsFastest) {
  std::vector<double> losses(10, 9.0);  // too early to count
  for (const double loss : {5.0, 5.0, 4.9, 4.5, 3.5, 3.2, 3.1, -50.0}) losses.push_back(loss);
  EXPECT_EQ(steepest_descent(losses), 13u);  // (3.5 - 4.9) / 2; the last does not count
  EXPECT_EQ(steepest_descent(std::vector<double>(12, 1.0)), std::nullopt);
  EXPECT_EQ(steepest_descent(std::vector<double>(13, 1.0)), 10u);
}

TEST_F(Tune, FindsARateThatTrains) {
  TinyLearner learner;
  const auto result = find(learner, {.min_lr = 1e-5, .max_lr = 100});
  ASSERT_TRUE(result.suggestion);
  const double lr = result.lr[*result.suggestion];
  EXPECT_GT(lr, 1e-2);
  EXPECT_LT(lr, 100);
  EXPECT_EQ(result.smoothed_loss[0], result.loss[0]);
  EXPECT_NEAR(result.smoothed_loss[1], (0.98 * 0.02 * result.loss[0] + 0.02 * result.loss[1]) / (1 - 0.98 * 0.98),
              1e-12);
}

TEST_F(Tune, EndsWhereTheLossGrowsOrIsNotFinite) {
  TinyLearner learner;
  learner.after_step = [&](StepOutput output, Stage) {
    if (learner.calls[Stage::fit] > 20) output.loss = output.loss * 1e4;
    return output;
  };
  EXPECT_EQ(find(learner).lr.size(), 21u);
  learner.calls.clear();
  EXPECT_EQ(find(learner, {.early_stop_threshold = std::nullopt}).lr.size(), 100u);
  learner.calls.clear();
  learner.after_step = [&](StepOutput output, Stage) {
    if (learner.calls[Stage::fit] > 5) output.loss = output.loss * NAN;
    return output;
  };
  const auto broken = find(learner);
  EXPECT_EQ(broken.lr.size(), 5u);
  EXPECT_FALSE(broken.suggestion);
}

TEST_F(Tune, IsTheSameEachTimeAndLeavesNoTrace) {
  for (const OptimizerOptions& optimizer :
       {OptimizerOptions(AdamWOptions{}), OptimizerOptions(LBFGSOptions{.max_iter = 2})}) {
    for (const Precision precision : {Precision::fp32, Precision::fp64, Precision::bf16}) {
      TinyLearner learner;
      learner.model->eval();
      learner.model->first->weight.mutable_grad() = at::ones_like(learner.model->first->weight);
      io::Tensors before;
      std::map<std::string, const void*> places;
      for (const auto& [name, tensor] : io::distinct_tensors(*learner.model)) {
        before[name] = tensor.clone();
        places[name] = tensor.data_ptr();
      }
      const auto random = random_state();
      const TrainerOptions trainer{
          .precision = precision, .gradient_clip_val = 1.0, .accumulate_grad_batches = 2, .enable_progress_bar = false};
      const LrFindOptions short_one{.num_training = 20};
      const auto first = find(learner, short_one, optimizer, trainer);
      const auto second = find(learner, short_one, optimizer, trainer);
      EXPECT_EQ(first.loss, second.loss);
      EXPECT_EQ(first.loss.size(), 20u);
      const auto loader = TinyData().train();
      scale_batch_size(learner, *loader, optimizer, trainer, BatchSearch::power, {.steps_per_trial = 1});

      EXPECT_TRUE(at::equal(random_state(), random));
      EXPECT_FALSE(learner.model->is_training());
      EXPECT_TRUE(at::equal(learner.model->first->weight.grad(), at::ones({7, 5})));
      EXPECT_FALSE(learner.model->second->weight.grad().defined());
      for (const auto& [name, tensor] : io::distinct_tensors(*learner.model)) {
        EXPECT_EQ(tensor.dtype(), before[name].dtype());
        EXPECT_TRUE(at::equal(tensor, before[name])) << name;
        EXPECT_EQ(tensor.data_ptr(), places[name]);
      }
    }
  }
}

TEST_F(Tune, LeavesNoTraceWhereItFails) {
  TinyLearner learner;
  const auto before = learner.model->first->weight.clone();
  learner.before_step = [](Stage, int64_t call) {
    if (call == 3) throw core::DataError("broken");
  };
  EXPECT_THROW(find(learner), core::DataError);
  EXPECT_TRUE(at::equal(learner.model->first->weight, before));
  EXPECT_FALSE(learner.model->first->weight.grad().defined());
}

TEST_F(Tune, ARunAfterASearchIsTheRunWithoutIt) {
  for (const bool search : {false, true}) {
    TinyLearner learner;
    if (search) find(learner);
    TrainerOptions o = options();
    o.default_root_dir = (root / (search ? "after" : "alone")).string();
    Trainer(o).fit(learner, TinyData(), AdamWOptions{});
  }
  const auto last = [&](const char* folder) { return weights(root / folder / "default/version_0/checkpoints/last"); };
  EXPECT_EQ(last("after"), last("alone"));
  EXPECT_FALSE(last("alone").empty());
}

// A process of 100 bytes, and 10 more for each example.
BatchTrial linear_trial(int64_t size) {
  return {.batch_size = size, .examples_per_second = 1, .peak_memory = 100 + 10.0 * size};
}
std::vector<int64_t> sizes(const BatchSizeResult& result) {
  std::vector<int64_t> sizes;
  for (const auto& trial : result.trials) sizes.push_back(trial.batch_size);
  return sizes;
}

TEST(BatchSize, IsDoubledWhileTheNextOneWouldFit) {
  const auto result = search_batch_size(BatchSearch::power, {}, 1000, 100, 1000, linear_trial);
  EXPECT_THAT(sizes(result), ElementsAre(2, 4, 8, 16, 32, 64));  // 128 would take 1380
  EXPECT_EQ(result.largest, 64);
  EXPECT_EQ(result.reason, "128 examples would take 1.4 kB of memory, and 1.0 kB are the limit");
}

TEST(BatchSize, IsExactByHalvingTheGap) {
  const auto result = search_batch_size(BatchSearch::binsearch, {}, 1000, 100, 1000, linear_trial);
  EXPECT_EQ(result.largest, 90);
  EXPECT_THAT(sizes(result), Each(testing::Le(90)));
}

TEST(BatchSize, EndsWithTheExamplesTheTrialsOrTheFirstSize) {
  auto result = search_batch_size(BatchSearch::power, {.init_val = 3}, 50, 0, 1e9, linear_trial);
  EXPECT_THAT(sizes(result), ElementsAre(3, 6, 12, 24, 48, 50));
  EXPECT_EQ(result.reason, "there are 50 examples to train with");
  result = search_batch_size(BatchSearch::power, {.max_trials = 2}, 50, 0, 1e9, linear_trial);
  EXPECT_EQ(result.largest, 4);
  EXPECT_EQ(result.reason, "2 sizes were tried (max_trials)");
  result = search_batch_size(BatchSearch::binsearch, {.init_val = 64}, 500, 0, 200, linear_trial);
  EXPECT_EQ(result.largest, 10);
  result = search_batch_size(BatchSearch::power, {}, 500, 0, 110, linear_trial);
  EXPECT_EQ(result.largest, 0);
  result = search_batch_size(BatchSearch::power, {}, 500, 0, 1e9,
                             [](int64_t size) { return size == 8 ? BatchTrial{} : linear_trial(size); });
  EXPECT_TRUE(result.interrupted);
  EXPECT_EQ(result.largest, 4);
}

TEST_F(Tune, MeasuresRatesAndMemoryOfEachBatchSize) {
  TinyLearner learner;
  std::vector<int64_t> seen;
  learner.after_step = [&](StepOutput output, Stage) {
    seen.push_back(output.count);
    return output;
  };
  const auto result = scale_batch_size(learner, *TinyData().train(), SGDOptions{}, {.enable_progress_bar = false},
                                       BatchSearch::power, {.steps_per_trial = 2, .init_val = 8});
  EXPECT_THAT(sizes(result), ElementsAre(8, 16, 32, 53));
  EXPECT_EQ(seen, (std::vector<int64_t>{8, 8, 16, 16, 32, 32, 53, 53}));
  for (const auto& trial : result.trials) {
    EXPECT_GT(trial.examples_per_second, 0);
    EXPECT_GT(trial.peak_memory, 1e6);
  }
}

TEST_F(Tune, RefusesOptionsThatAreOutOfRange) {
  const auto expect = [](const LrFindOptions& o, const std::string& message) {
    EXPECT_THAT([&] { check(o); }, ThrowsMessage<core::ConfigError>(HasSubstr(message)));
  };
  expect({.min_lr = 0}, "lr_find_kwargs.min_lr: expected a number above 0, got 0");
  expect({.min_lr = NAN}, "lr_find_kwargs.min_lr: expected a number above 0, got nan");
  expect({.max_lr = 1e-9}, "lr_find_kwargs.max_lr: expected a number above min_lr");
  expect({.num_training = 0},
         "lr_find_kwargs.num_training: expected 13 or more, as the first ten and the last do not count, got 0");
  expect({.early_stop_threshold = 1}, "lr_find_kwargs.early_stop_threshold: expected a number above 1, or null");
  EXPECT_THAT([] { check(BatchSizeOptions{.init_val = 0}); },
              ThrowsMessage<core::ConfigError>("scale_batch_size_kwargs.init_val: expected 1 or more, got 0"));
  TinyLearner learner;
  EXPECT_THAT([&] { find(learner, {}, RpropOptions{}); },
              ThrowsMessage<core::ConfigError>(HasSubstr("Rprop finds the sizes of its steps itself")));
}

}  // namespace
}  // namespace perceive::train
