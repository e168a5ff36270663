// Memory sizes for people, and the refusal of what cannot fit.
#include "perceive/core/memory.h"

#include <gtest/gtest.h>

#include <vector>

#include "perceive/core/error.h"

namespace perceive::core {
namespace {

TEST(Memory, ReadsWell) {
  EXPECT_EQ(readable_bytes(512), "512 B");
  EXPECT_EQ(readable_bytes(3.2e9), "3.2 GB");
  EXPECT_EQ(readable_bytes(4.66e14), "466 TB");
  EXPECT_EQ(readable_bytes(1e30), "1000000000000 EB");
  EXPECT_EQ(readable_bytes(999999), "1.0 MB");
  EXPECT_GT(physical_memory(), 1e8);
}

TEST(Memory, ThePeakOfTheProcessStartsAgain) {
  EXPECT_GT(available_memory(), 0);
  EXPECT_LT(available_memory(), physical_memory());
  constexpr size_t kBytes = size_t{64} << 20;
  const auto grown = [] {
    const double before = resident_memory();
    std::vector<char> block(kBytes, 1);
    EXPECT_EQ(block.back(), 1);
    return peak_resident_memory() - before;
  };
  EXPECT_GT(grown(), 0.9 * kBytes);
  if (!restart_peak_memory()) GTEST_SKIP() << "this system does not let a process start its peak again";
  EXPECT_LT(peak_resident_memory() - resident_memory(), 0.1 * kBytes);
  EXPECT_GT(grown(), 0.9 * kBytes);
}

TEST(Memory, RefusesWhatCouldNeverFit) {
  EXPECT_NO_THROW(require_memory(1e6, "a small thing"));
  try {
    require_memory(4.66e14, "a model of 116 T parameters");
    FAIL() << "no refusal";
  } catch (const ConfigError& error) {
    EXPECT_NE(
        std::string(error.what()).find("a model of 116 T parameters would need 466 TB of memory; this machine has"),
        std::string::npos);
  }
}

}  // namespace
}  // namespace perceive::core
