// One program at a time in a folder.
#include "perceive/io/lock.h"

#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/io/temporary_folder.h"

namespace perceive::io {
namespace {

using testing::HasSubstr;

TEST(FolderLock, RefusesASecondHolderByTheFirstOnesName) {
  const TemporaryFolder folder;
  {
    const FolderLock lock(folder / "run");
    EXPECT_TRUE(lock.works());
    const std::string message = error_of([&] { FolderLock(folder / "run"); });
    EXPECT_THAT(message, HasSubstr("is in use by process " + std::to_string(::getpid()) + " on "));
    EXPECT_THAT(message, HasSubstr("wait for it to end, or choose another folder"));
    const FolderLock another(folder / "run 2");
  }
  const FolderLock again(folder / "run");
}

TEST(FolderLock, OfAKilledProcessIsFree) {
  const TemporaryFolder folder;
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const FolderLock lock(folder.path());
    if (::write(ready[1], "x", 1) != 1) ::_exit(1);
    ::pause();
  }
  char byte;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  EXPECT_THAT(error_of([&] { FolderLock(folder.path()); }), HasSubstr("in use by process " + std::to_string(child)));
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  const FolderLock lock(folder.path());
}

}  // namespace
}  // namespace perceive::io
