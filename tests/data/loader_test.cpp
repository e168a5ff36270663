// The order of batches, from any number of workers and any position, and what happens when something goes wrong.
#include "perceive/data/loader.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <set>
#include <thread>

#include "files.h"
#include "perceive/core/error.h"
#include "perceive/data/tensor_dataset.h"

namespace perceive::data {
namespace {

// Gives its indices back, with the seed; what else it does is up to the test.
class Indices : public Dataset {
 public:
  explicit Indices(int64_t size, std::function<void(const std::vector<int64_t>&)> act = {})
      : size_(size), act_(std::move(act)) {}
  int64_t size() const override { return size_; }
  Batch batch(const std::vector<int64_t>& indices, uint64_t seed) const override {
    if (act_) act_(indices);
    return {{"index", at::tensor(indices, at::kLong)}, {"seed", at::tensor(static_cast<int64_t>(seed), at::kLong)}};
  }
  std::string fingerprint() const override { return "indices"; }

 private:
  int64_t size_;
  std::function<void(const std::vector<int64_t>&)> act_;
};

Loader loader_of(int64_t size, const LoaderOptions& options,
                 std::function<void(const std::vector<int64_t>&)> act = {}) {
  return Loader(std::make_shared<Indices>(size, std::move(act)), options);
}

std::vector<int64_t> numbers(const at::Tensor& tensor) {
  return {tensor.const_data_ptr<int64_t>(), tensor.const_data_ptr<int64_t>() + tensor.numel()};
}

using Epoch = std::vector<std::pair<std::vector<int64_t>, int64_t>>;  // indices and seed of each batch

Epoch rest_of(Loader& loader) {
  Epoch epoch;
  while (const auto batch = loader.next())
    epoch.emplace_back(numbers(batch->at("index")), batch->at("seed").item<int64_t>());
  return epoch;
}
Epoch epoch_of(Loader& loader, int64_t epoch, int64_t first_batch = 0) {
  loader.start(epoch, first_batch);
  return rest_of(loader);
}
std::vector<int64_t> flat(const Epoch& epoch) {
  std::vector<int64_t> all;
  for (const auto& [indices, seed] : epoch) all.insert(all.end(), indices.begin(), indices.end());
  return all;
}

void sleep_ms(int64_t ms) {
  std::this_thread::sleep_for(std::chrono::milliseconds(ms));
}

TEST(Loader, DeliversInOrderUnlessToldToShuffle) {
  Loader loader = loader_of(7, {.batch_size = 3, .num_workers = 2});
  EXPECT_EQ(loader.batches(), 3);
  const Epoch epoch = epoch_of(loader, 5);
  ASSERT_EQ(epoch.size(), 3);
  EXPECT_EQ(epoch[0].first, (std::vector<int64_t>{0, 1, 2}));
  EXPECT_EQ(epoch[2].first, (std::vector<int64_t>{6}));
  EXPECT_EQ(loader.next(), std::nullopt);
}

TEST(Loader, DropsALastBatchThatIsNotFullWhenAsked) {
  Loader loader = loader_of(7, {.batch_size = 3, .drop_last = true});
  EXPECT_EQ(loader.batches(), 2);
  EXPECT_EQ(flat(epoch_of(loader, 0)), (std::vector<int64_t>{0, 1, 2, 3, 4, 5}));
}

TEST(Loader, GivesOneSmallerBatchWhereABatchIsLargerThanTheSet) {
  Loader loader = loader_of(5, {.batch_size = INT64_MAX, .num_workers = 3});
  EXPECT_EQ(loader.batches(), 1);
  EXPECT_EQ(flat(epoch_of(loader, 0)), (std::vector<int64_t>{0, 1, 2, 3, 4}));
}

TEST(Loader, ShufflesEachEpochAnewAndVisitsEachExampleOnce) {
  Loader loader = loader_of(101, {.batch_size = 10, .shuffle = true, .seed = 3});
  const auto first = flat(epoch_of(loader, 0));
  const auto second = flat(epoch_of(loader, 1));
  EXPECT_NE(first, second);
  EXPECT_EQ(std::set(first.begin(), first.end()).size(), 101);
  EXPECT_EQ(std::set(second.begin(), second.end()).size(), 101);
  EXPECT_EQ(flat(epoch_of(loader, 0)), first);
  Loader other = loader_of(101, {.batch_size = 10, .shuffle = true, .seed = 4});
  EXPECT_NE(flat(epoch_of(other, 0)), first);
}

// A checkpoint's position means the same examples in every later version.
TEST(Loader, KeepsItsOrderForever) {
  Loader loader = loader_of(8, {.batch_size = 8, .shuffle = true, .seed = 42});
  EXPECT_EQ(flat(epoch_of(loader, 0)), (std::vector<int64_t>{0, 2, 4, 5, 7, 1, 3, 6}));
  EXPECT_EQ(flat(epoch_of(loader, 1)), (std::vector<int64_t>{5, 6, 4, 0, 2, 3, 7, 1}));
}

TEST(Loader, PutsEveryExampleEverywhere) {
  Loader loader = loader_of(5, {.batch_size = 5, .shuffle = true});
  std::array<std::array<int, 5>, 5> seen{};
  for (int64_t epoch = 0; epoch < 5000; ++epoch) {
    const auto order = flat(epoch_of(loader, epoch));
    for (size_t place = 0; place < 5; ++place) ++seen[place][order[place]];
  }
  for (const auto& place : seen) {
    for (const int count : place) EXPECT_NEAR(count, 1000, 150);
  }
}

TEST(Loader, DeliversTheSameWithAnyNumberOfWorkers) {
  // Workers that take turns at being slow finish out of order.
  const auto uneven = [](const std::vector<int64_t>& indices) { sleep_ms(indices.front() % 3); };
  Loader alone = loader_of(103, {.batch_size = 4, .shuffle = true, .seed = 9}, uneven);
  for (const int64_t workers : {1, 2, 3, 7, 64}) {
    Loader loader = loader_of(103, {.batch_size = 4, .shuffle = true, .num_workers = workers, .seed = 9}, uneven);
    for (const int64_t epoch : {0, 1}) EXPECT_EQ(epoch_of(loader, epoch), epoch_of(alone, epoch)) << workers;
  }
}

TEST(Loader, GivesEachBatchASeedOfItsOwn) {
  Loader loader = loader_of(50, {.batch_size = 1, .seed = 1});
  std::set<int64_t> seeds;
  for (const int64_t epoch : {0, 1, 2}) {
    for (const auto& [indices, seed] : epoch_of(loader, epoch)) seeds.insert(seed);
  }
  EXPECT_EQ(seeds.size(), 150);
}

TEST(Loader, ResumesInTheMiddleOfAnEpoch) {
  for (const int64_t workers : {0, 2}) {
    const LoaderOptions options{.batch_size = 3, .shuffle = true, .num_workers = workers, .seed = 7};
    Loader whole = loader_of(31, options);
    const Epoch epoch = epoch_of(whole, 4);
    for (int64_t first = 0; first <= whole.batches(); ++first) {
      Loader resumed = loader_of(31, options);
      EXPECT_EQ(epoch_of(resumed, 4, first), Epoch(epoch.begin() + first, epoch.end()));
    }
  }
}

TEST(Loader, DropsWhatWasUnderWayAtANewStart) {
  Loader loader = loader_of(1000, {.batch_size = 1, .num_workers = 3}, [](const auto&) { sleep_ms(1); });
  const Epoch rest = epoch_of(loader, 2, 995);
  for (const int64_t taken : {0, 1, 5}) {
    loader.start(1);
    for (int64_t i = 0; i < taken; ++i) loader.next();
    EXPECT_EQ(epoch_of(loader, 2, 995), rest);
  }
}

TEST(Loader, PreparesOnlySoManyBatchesAhead) {
  std::atomic<int64_t> made{0};
  Loader loader = loader_of(1000, {.batch_size = 1, .num_workers = 2}, [&](const auto&) { ++made; });
  loader.start(0);
  loader.next();
  sleep_ms(50);
  EXPECT_GE(made, 2);
  EXPECT_LE(made, 1 + 4);
}

TEST(Loader, EndsWhileItsWorkersAreBusy) {
  for (const int64_t taken : {0, 1, 3}) {
    Loader loader = loader_of(100, {.batch_size = 1, .num_workers = 3}, [](const auto&) { sleep_ms(5); });
    loader.start(0);
    for (int64_t i = 0; i < taken; ++i) loader.next();
  }
}

TEST(Loader, ThrowsWhatAWorkerThrewAtItsTurn) {
  const auto fail_at_6 = [](const std::vector<int64_t>& indices) {
    if (indices.front() == 6) throw core::DataError("a.png: damaged");
  };
  for (const int64_t workers : {0, 1, 3}) {
    Loader loader = loader_of(20, {.batch_size = 2, .num_workers = workers}, fail_at_6);
    loader.start(0);
    for (const int64_t i : {0, 2, 4}) EXPECT_EQ(numbers(loader.next()->at("index")), (std::vector<int64_t>{i, i + 1}));
    expect_error<core::DataError>([&] { loader.next(); }, "a.png: damaged");
    expect_error<core::DataError>([&] { loader.next(); }, "a.png: damaged");
    EXPECT_EQ(epoch_of(loader, 0, 4).size(), 6);
  }
}

TEST(Loader, NamesBatchAndExamplesOfAnErrorThatDoesNot) {
  const auto fail = [](const auto&) { throw std::out_of_range("no such row"); };
  const auto fail_in_torch = [](const auto&) { TORCH_CHECK(false, "no such column"); };
  for (const int64_t workers : {0, 2}) {
    const LoaderOptions options{.batch_size = 2, .num_workers = workers};
    Loader loader = loader_of(5, options, fail);
    loader.start(3, 1);
    expect_error<core::DataError>([&] { loader.next(); }, "batch 1 of epoch 3 (examples 2, 3): no such row");
    Loader torch_loader = loader_of(5, options, fail_in_torch);
    torch_loader.start(0, 2);
    EXPECT_THAT([&] { torch_loader.next(); },
                testing::ThrowsMessage<core::DataError>("batch 2 of epoch 0 (examples 4): no such column"));
  }
}

TEST(Loader, NamesOnlySomeExamplesOfALargeBatch) {
  Loader loader = loader_of(100, {.batch_size = 50}, [](const auto&) { throw std::out_of_range("no such row"); });
  loader.start(0);
  expect_error<core::DataError>([&] { loader.next(); }, "(examples 0, 1, 2, 3, 4, 5, 6, 7, …): no such row");
}

TEST(Loader, KeepsItsWorkersFromThePoolOfThreadsAndFromAutograd) {
  const int threads = at::get_num_threads();
  std::atomic<int> most{0};
  std::atomic<bool> recorded{false};
  Loader loader = loader_of(20, {.batch_size = 1, .num_workers = 2}, [&](const auto&) {
    most = std::max<int>(most, at::get_num_threads());
    recorded = recorded || at::GradMode::is_enabled();
  });
  epoch_of(loader, 0);
  EXPECT_EQ(most, 1);
  EXPECT_FALSE(recorded);
  EXPECT_EQ(at::get_num_threads(), threads);
  EXPECT_TRUE(at::GradMode::is_enabled());
  int elsewhere = 0;
  std::thread([&] { elsewhere = at::get_num_threads(); }).join();
  EXPECT_EQ(elsewhere, threads);
}

TEST(Loader, RefusesWhatCannotBeLoaded) {
  expect_error<core::DataError>([] { loader_of(0, {}); }, "the data set is empty");
  expect_error<core::DataError>([] { loader_of(7, {.batch_size = 8, .drop_last = true}); },
                                "7 examples do not fill one batch of 8, and drop_last drops what is not full");
  expect_error<core::ConfigError>([] { loader_of(7, {.batch_size = 0}); }, "batch_size: expected 1 or more, got 0");
  expect_error<core::ConfigError>([] { loader_of(7, {.num_workers = -1}); }, "num_workers: expected 0 to 1024, got -1");
  expect_error<core::ConfigError>([] { loader_of(7, {.num_workers = 1'000'000}); }, "got 1000000");
}

TEST(Loader, RefusesAPositionThatIsNotThere) {
  Loader loader = loader_of(7, {.batch_size = 2});
  EXPECT_THROW(loader.next(), c10::Error);
  expect_error<core::DataError>([&] { loader.start(0, 5); }, "cannot begin at batch 5 of an epoch of 4 batches");
  expect_error<core::DataError>([&] { loader.start(0, -1); }, "cannot begin at batch -1");
  EXPECT_THROW(loader.start(-1), c10::Error);
}

TEST(TensorDataset, GivesTheRowsAskedFor) {
  const TensorDataset dataset({{"x", at::arange(12).view({4, 3})}, {"label", at::arange(4).requires_grad_(false)}});
  EXPECT_EQ(dataset.size(), 4);
  const Batch batch = dataset.batch({3, 0, 3}, 0);
  EXPECT_TRUE(batch.at("x").equal(at::tensor({9, 10, 11, 0, 1, 2, 9, 10, 11}, at::kLong).view({3, 3})));
  EXPECT_TRUE(batch.at("label").equal(at::tensor({3, 0, 3}, at::kLong)));
}

TEST(TensorDataset, IsKnownByItsContent) {
  const at::Tensor values = at::rand({5, 2});
  const TensorDataset dataset({{"x", values}});
  EXPECT_EQ(dataset.fingerprint(), TensorDataset({{"x", values.clone()}}).fingerprint());
  EXPECT_NE(dataset.fingerprint(), TensorDataset({{"y", values}}).fingerprint());
  EXPECT_NE(dataset.fingerprint(), TensorDataset({{"x", values + 1}}).fingerprint());
  EXPECT_NE(dataset.fingerprint(), TensorDataset({{"x", values.view({2, 5})}}).fingerprint());
  EXPECT_FALSE(TensorDataset({{"x", at::empty({0, 3})}}).fingerprint().empty());
}

TEST(TensorDataset, RefusesUnequalNumbersOfExamples) {
  expect_error<core::DataError>(
      [] {
        TensorDataset({{"x", at::rand({5, 2})}, {"y", at::rand({4})}});
      },
      "'x' has 5 examples and 'y' has 4");
  EXPECT_THROW(TensorDataset({}), c10::Error);
  EXPECT_THROW(TensorDataset({{"x", at::rand({})}}), c10::Error);
}

}  // namespace
}  // namespace perceive::data
