// Chunks read ahead: their order, their threads, errors on either side, and the bits of a pass without it.
#include "perceive/ops/read_ahead.h"

#include <ATen/Parallel.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/autograd.h>

#include <future>
#include <set>
#include <thread>

#include "perceive/ops/attend.h"
#include "tests/refusal.h"

namespace perceive::ops {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using namespace std::chrono_literals;

constexpr int64_t kKeys = 50, kChannels = 3;

at::Tensor rows() {
  return at::arange(2 * kKeys * kChannels, at::kFloat).sin().view({2, kKeys, kChannels});
}

Source in_chunks_of(int64_t chunk, ChunkReader read) {
  auto source = Source::in_chunks(std::move(read), 2, kKeys, kChannels);
  source.chunk = chunk;
  return source;
}

// A reader as most are: one piece of memory, filled again by every call.
ChunkReader overwriting() {
  auto memory = std::make_shared<at::Tensor>(at::empty({2, kKeys, kChannels}));
  return [memory, values = rows()](int64_t first, int64_t count) {
    memory->fill_(NAN);
    return memory->narrow(1, 0, count).copy_(values.narrow(1, first, count));
  };
}

TEST(ReadAhead, GivesEachKeyOnceInOrder) {
  for (const int64_t chunk : {1, 7, 25, 50, 1000}) {
    std::vector<at::Tensor> found;
    int64_t next = 0;
    for_chunks(in_chunks_of(chunk, overwriting()), [&](const at::Tensor& values, int64_t first) {
      EXPECT_EQ(first, next);
      next += values.size(1);
      found.push_back(values.clone());
    });
    EXPECT_TRUE(at::equal(at::cat(found, 1), rows())) << chunk;
  }
}

TEST(ReadAhead, ReadsOnOneOtherThreadInOrderWithoutGradients) {
  std::vector<int64_t> calls;
  std::set<std::thread::id> threads;
  std::atomic<int> inside = 0;
  const auto weight = at::ones({1}).requires_grad_();
  for_chunks(in_chunks_of(12,
                          [&](int64_t first, int64_t count) {
                            EXPECT_EQ(++inside, 1);
                            calls.push_back(first);
                            threads.insert(std::this_thread::get_id());
                            const auto values = rows().narrow(1, first, count) * weight;
                            EXPECT_FALSE(values.requires_grad());
                            --inside;
                            return values;
                          }),
             [](const at::Tensor&, int64_t) {});
  EXPECT_THAT(calls, ElementsAre(0, 12, 24, 36, 48));
  EXPECT_EQ(threads.size(), 1u);
  EXPECT_FALSE(threads.contains(std::this_thread::get_id()));
}

TEST(ReadAhead, ReadsTheNextChunkWhileOneIsWorkedOn) {
  std::promise<void> second_begun;
  auto begun = second_begun.get_future();
  for_chunks(in_chunks_of(25,
                          [&](int64_t first, int64_t count) {
                            if (first == 25) second_begun.set_value();
                            return rows().narrow(1, first, count);
                          }),
             [&](const at::Tensor&, int64_t first) {
               if (first > 0) return;
               EXPECT_EQ(begun.wait_for(60s), std::future_status::ready);
             });
}

TEST(ReadAhead, IsNeverTwoChunksAhead) {
  std::atomic<int64_t> worked_on = 0;
  for_chunks(in_chunks_of(5,
                          [&](int64_t first, int64_t count) {
                            EXPECT_LE(first, worked_on + 5);
                            return rows().narrow(1, first, count);
                          }),
             [&](const at::Tensor&, int64_t first) { worked_on = first + 5; });
}

TEST(ReadAhead, HandsTensorsThatStayOnAsTheyAre) {
  const auto values = rows();
  auto source = in_chunks_of(20, [&](int64_t first, int64_t count) { return values.narrow(1, first, count); });
  source.stays = true;
  for_chunks(source, [&](const at::Tensor& chunk, int64_t first) {
    EXPECT_EQ(chunk.const_data_ptr(), values.narrow(1, first, 1).const_data_ptr());
  });
}

TEST(ReadAhead, TakesAChunkOfAnotherDtype) {
  for_chunks(in_chunks_of(10,
                          [&](int64_t first, int64_t count) {
                            return rows().narrow(1, first, count).to(first < 20 ? at::kFloat : at::kDouble);
                          }),
             [](const at::Tensor& chunk, int64_t first) {
               EXPECT_EQ(chunk.scalar_type(), first < 20 ? at::kFloat : at::kDouble);
               EXPECT_TRUE(at::equal(chunk.to(at::kFloat), rows().narrow(1, first, 10)));
             });
}

struct Unusual {
  int64_t number;
};

TEST(ReadAhead, LetsAnErrorOfTheReaderThroughAfterTheChunksBefore) {
  for (const int64_t bad : {0, 20, 40}) {
    int64_t done = 0, calls = 0;
    try {
      for_chunks(in_chunks_of(10,
                              [&](int64_t first, int64_t count) {
                                ++calls;
                                if (first == bad) throw Unusual{first};
                                return rows().narrow(1, first, count);
                              }),
                 [&](const at::Tensor& values, int64_t) { done += values.size(1); });
      FAIL() << "no error";
    } catch (const Unusual& error) {
      EXPECT_EQ(error.number, bad);
    }
    EXPECT_EQ(done, bad);
    EXPECT_EQ(calls, bad / 10 + 1);
  }
}

TEST(ReadAhead, EndsWhereTheWorkFails) {
  for (const int64_t bad : {0, 20, 40}) {
    std::atomic<int> inside = 0;
    const auto read = [&](int64_t first, int64_t count) {
      ++inside;
      std::this_thread::sleep_for(1ms);
      --inside;
      return rows().narrow(1, first, count);
    };
    EXPECT_THROW(for_chunks(in_chunks_of(10, read),
                            [&](const at::Tensor&, int64_t first) {
                              if (first == bad) throw Unusual{first};
                            }),
                 Unusual);
    EXPECT_EQ(inside, 0);
  }
}

TEST(ReadAhead, NamesAChunkOfTheWrongShapeAndNone) {
  const auto message = [](const at::Tensor& values) {
    return refusal([&] {
      for_chunks(in_chunks_of(30, [&](int64_t, int64_t) { return values; }), [](const at::Tensor&, int64_t) {});
    });
  };
  EXPECT_THAT(message(at::zeros({2, 30, 3})), HasSubstr("the keys 30 to 50, [2, 20, 3], and gave [2, 30, 3]"));
  EXPECT_THAT(message({}), HasSubstr("the keys 0 to 30, [2, 30, 3], and gave nothing"));
}

TEST(ReadAhead, ReadsNothingOfASourceWithoutKeys) {
  for_chunks(Source::in_chunks([](int64_t, int64_t) -> at::Tensor { throw Unusual{0}; }, 2, 0, 3),
             [](const at::Tensor&, int64_t) { FAIL(); });
}

struct Reading {
  at::Tensor q;
  Projection projection;

  Reading() {
    at::manual_seed(11);
    q = at::randn({2, 1, 4, 8}).requires_grad_();
    projection = {.key_weight = at::randn({8, kChannels}).requires_grad_(),
                  .value_weight = at::randn({8, kChannels}).requires_grad_(),
                  .normalize = true};
  }
  // The choice of a plan looks at the whole length.
  AttendOptions options{.plan = SourcePlan::separate};

  std::vector<at::Tensor> results(const Source& source) const {
    const auto attended = attend_source(q, source, projection, options);
    auto all = torch::autograd::grad({attended.out.sin().sum()}, {q, projection.key_weight, projection.value_weight});
    all.push_back(attended.out.detach());
    all.push_back(attended.lse.detach());
    return all;
  }
};

TEST(ReadAhead, ChangesNoBitOfTheResult) {
  const Reading reading;
  const auto found = reading.results(in_chunks_of(12, overwriting()));
  // The same chunks, one operator call each, merged in double, with nothing read ahead.
  Attended expected;
  for (int64_t first = 0; first < kKeys; first += 12) {
    const auto values = rows().narrow(1, first, std::min<int64_t>(12, kKeys - first)).contiguous();
    const auto single = attend_source(reading.q, Source::of(values), reading.projection, reading.options);
    const Attended part{single.out.to(at::kDouble), single.lse.to(at::kDouble)};
    if (first == 0) {
      expected = merge({at::zeros_like(part.out), at::full_like(part.lse, -INFINITY)}, part);
    } else {
      expected = merge(expected, part);
    }
  }
  EXPECT_TRUE(at::equal(found[3], expected.out.to(at::kFloat)));
  EXPECT_TRUE(at::equal(found[4], expected.lse.to(at::kFloat)));
  for (int round = 0; round < 20; ++round) {
    const auto again = reading.results(in_chunks_of(12, overwriting()));
    for (size_t i = 0; i < found.size(); ++i) EXPECT_TRUE(at::equal(found[i], again[i])) << i;
  }
}

TEST(ReadAhead, CallsTheReaderOncePerChunkAndPass) {
  const Reading reading;
  std::vector<int64_t> calls;
  reading.results(in_chunks_of(20, [&](int64_t first, int64_t count) {
    calls.push_back(first);
    return rows().narrow(1, first, count);
  }));
  EXPECT_THAT(calls, ElementsAre(0, 20, 40, 0, 20, 40));
}

TEST(ReadAhead, TakesReadersWithParallelLoops) {
  const int threads = at::get_num_threads();
  at::set_num_threads(3);
  const Reading reading;
  const auto values = rows();
  const auto found = reading.results(in_chunks_of(5, [&](int64_t first, int64_t count) {
    auto chunk = at::empty({2, count, kChannels});
    at::parallel_for(0, count, 1, [&](int64_t begin, int64_t end) {
      chunk.narrow(1, begin, end - begin).copy_(values.narrow(1, first + begin, end - begin));
    });
    return chunk;
  }));
  at::set_num_threads(threads);
  const auto expected = reading.results(in_chunks_of(5, overwriting()));
  for (size_t i = 0; i < found.size(); ++i) EXPECT_TRUE(at::equal(found[i], expected[i])) << i;
}

TEST(ReadAhead, LetsAnErrorOfTheReaderOutOfBothPasses) {
  const Reading reading;
  bool fail = true;
  const auto source = in_chunks_of(20, [&](int64_t first, int64_t count) {
    if (fail && first == 20) throw std::runtime_error("the disk is gone");
    return rows().narrow(1, first, count);
  });
  EXPECT_THROW(attend_source(reading.q, source, reading.projection), std::runtime_error);
  fail = false;
  const auto attended = attend_source(reading.q, source, reading.projection);
  fail = true;
  EXPECT_THROW(attended.out.sum().backward(), std::runtime_error);
}

}  // namespace
}  // namespace perceive::ops
