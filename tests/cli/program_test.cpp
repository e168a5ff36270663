// What the program promises whatever the command: help, version, exit codes, and bearing with its surroundings.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/libtorch.h"
#include "perceive/core/error.h"
#include "perceive/core/version.h"
#include "tests/cli/process.h"

namespace perceive::tests {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

TEST(Program, SaysItsVersion) {
  const auto ended = perceive({"--version"});
  EXPECT_EQ(ended.code, 0);
  EXPECT_EQ(ended.out, std::string("perceive ") + core::version() + "\n");
}

TEST(Program, InfoNamesLibtorchThreadsAndDevices) {
  const auto ended = perceive({"info"});
  EXPECT_EQ(ended.code, 0) << ended.err;
  for (const auto* words : {"libtorch", "built against", "instruction sets", "threads", "devices"}) {
    EXPECT_THAT(ended.out, HasSubstr(words));
  }
}

TEST(Program, WithoutACommandSaysWhatToDo) {
  const auto ended = perceive({});
  EXPECT_EQ(ended.code, 2);
  EXPECT_THAT(ended.err, HasSubstr("perceive --help"));
}

TEST(Program, RefusesAnUnknownCommand) {
  const auto ended = perceive({"paint"});
  EXPECT_EQ(ended.code, 2);
  EXPECT_THAT(ended.err, HasSubstr("paint"));
}

TEST(Program, RefusesArgumentsThatInfoDoesNotKnow) {
  const auto ended = perceive({"info", "--all"});
  EXPECT_EQ(ended.code, 2);
  EXPECT_THAT(ended.err, HasSubstr("--all"));
}

TEST(Libtorch, LoadedIsTheOneBuiltAgainst) {
  EXPECT_EQ(cli::libtorch().built, cli::libtorch().loaded);
}

TEST(Libtorch, AnotherVersionIsRefusedInWords) {
  try {
    check(cli::Libtorch{"2.15.0", "2.11.0", "/opt/torch/lib/libtorch_cpu.so"});
    FAIL();
  } catch (const core::Error& error) {
    EXPECT_EQ(error.code(), core::ExitCode::failure);
    EXPECT_STREQ(error.what(),
                 "built against libtorch 2.15.0, but /opt/torch/lib/libtorch_cpu.so is libtorch 2.11.0; take that one "
                 "off LD_LIBRARY_PATH, or build again against it");
  }
}

TEST(Curves, OfSeveralRunsAreOnePicture) {
  const Folder folder;
  for (const std::string name : {"a", "b"}) {
    write(folder / (name + "/metrics.csv"), "step,train_loss,val_loss\n1,3,\n2,2,2.5\n3,1,2\n");
  }
  const auto a = (folder / "a").string(), picture = (folder / "c.png").string();
  const auto ended = perceive({"curves", a, (folder / "b").string(), "--names=[one, two]", "--output=" + picture});
  ASSERT_EQ(ended.code, 0) << ended.err;
  EXPECT_TRUE(contents(picture).starts_with("\x89PNG"));
  EXPECT_EQ(perceive({"curves"}).code, 2);
  EXPECT_THAT(perceive({"curves", (folder / "gone").string()}).err, HasSubstr("gone/metrics.csv"));
  EXPECT_THAT(perceive({"curves", a, "--names=[x, y]"}).err, HasSubstr("one for each of 1 runs"));
}

}  // namespace
}  // namespace perceive::tests
