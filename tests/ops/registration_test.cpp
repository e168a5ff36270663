// What a linker or a missing flag takes away without a word: operators, their keys, and threads.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/autocast_mode.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <set>
#include <thread>

#include "perceive/ops/attend.h"

namespace perceive::ops {
namespace {

TEST(Registration, HoldsEveryOperatorUnderEveryKey) {
  struct Expected {
    const char* name;
    std::vector<c10::DispatchKey> keys;
  };
  const std::vector<c10::DispatchKey> all = {c10::DispatchKey::CPU, c10::DispatchKey::Meta,
                                             c10::DispatchKey::AutogradCPU,
                                             c10::DispatchKey::CompositeExplicitAutograd};
  auto with_autocast = all;
  with_autocast.push_back(c10::DispatchKey::AutocastCPU);
  for (const auto& [name, keys] :
       {Expected{"perceive::attend", with_autocast}, Expected{"perceive::attend_backward", all},
        Expected{"perceive::attend_source", all}, Expected{"perceive::attend_source_backward", all}}) {
    const auto op = c10::Dispatcher::singleton().findSchema({name, ""});
    ASSERT_TRUE(op.has_value()) << name;
    for (const auto key : keys) {
      const bool there = key == c10::DispatchKey::AutogradCPU ? op->hasKernelForDispatchKey(c10::DispatchKey::Autograd)
                                                              : op->hasKernelForDispatchKey(key);
      EXPECT_TRUE(there) << name << " has no kernel for " << toString(key);
    }
  }
}

TEST(Registration, GivesShapesOnMetaTensors) {
  const auto meta = at::TensorOptions().device(at::kMeta);
  const auto q = at::empty({2, 3, 5, 8}, meta), k = at::empty({2, 1, 9, 8}, meta), v = at::empty({2, 1, 9, 4}, meta);
  const auto result = attend(q, k, v);
  EXPECT_EQ(result.out.sizes(), at::IntArrayRef({2, 3, 5, 4}));
  EXPECT_EQ(result.lse.sizes(), at::IntArrayRef({2, 3, 5}));
  const Projection projection{
      .key_weight = at::empty({24, 6}, meta), .value_weight = at::empty({12, 6}, meta), .heads = 3};
  const auto streamed = attend_source(q, Source::of(at::empty({2, 11, 6}, meta)), projection);
  EXPECT_EQ(streamed.out.sizes(), at::IntArrayRef({2, 3, 5, 4}));
}

TEST(Registration, RunsParallelForOnMoreThanOneThread) {
  const int before = at::get_num_threads();
  at::set_num_threads(2);
  std::mutex guard;
  std::set<std::thread::id> threads;
  std::atomic<int> arrived = 0;
  at::parallel_for(0, 2, 1, [&](int64_t, int64_t) {
    {
      const std::lock_guard lock(guard);
      threads.insert(std::this_thread::get_id());
    }
    // Wait for the other, so that one quick thread cannot do both; give up where there is no other.
    ++arrived;
    for (int i = 0; i < 2000 && arrived < 2; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  });
  at::set_num_threads(before);
  EXPECT_EQ(threads.size(), 2);
}

TEST(Registration, CastsUnderAutocast) {
  const auto q = at::randn({1, 1, 4, 8});
  at::autocast::set_autocast_enabled(at::kCPU, true);
  at::autocast::set_autocast_dtype(at::kCPU, at::kBFloat16);
  const auto out = attend(q, q, q).out;
  const auto streamed = attend_source(q, Source::of(at::randn({1, 20, 3})),
                                      {.key_weight = at::randn({8, 3}), .value_weight = at::randn({8, 3})})
                            .out;
  at::autocast::set_autocast_enabled(at::kCPU, false);
  at::autocast::clear_cache();
  EXPECT_EQ(out.scalar_type(), at::kBFloat16);
  EXPECT_EQ(streamed.scalar_type(), at::kFloat);
}

}  // namespace
}  // namespace perceive::ops
