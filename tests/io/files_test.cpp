// Files appear whole or not at all, whatever fails.
#include "perceive/io/files.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include "tests/io/temporary_folder.h"

namespace perceive::io {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

size_t files_in(const fs::path& folder) {
  return static_cast<size_t>(std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

TEST(Files, ReadsBackWhatWasWritten) {
  const TemporaryFolder folder;
  for (const size_t size : {size_t{0}, size_t{1}, size_t{1} << 20, (size_t{1} << 20) + 7, size_t{3'000'017}}) {
    std::string bytes(size, 'x');
    for (size_t i = 0; i < size; i += 101) bytes[i] = static_cast<char>(i);
    write_file(folder / "f", bytes);
    EXPECT_EQ(read_file(folder / "f"), bytes);
  }
  EXPECT_EQ(files_in(folder.path()), 1);
}

TEST(Files, AreReplacedAtCommitOnly) {
  const TemporaryFolder folder;
  write_file(folder / "f", "old");
  {
    AtomicFile file(folder / "f");
    file.write("new");
    EXPECT_EQ(read_file(folder / "f"), "old");
  }
  EXPECT_EQ(read_file(folder / "f"), "old");
  EXPECT_EQ(files_in(folder.path()), 1);
}

TEST(Files, KeepTheOldContentWhicheverSystemCallFails) {
  const TemporaryFolder folder;
  for (const int error : {ENOSPC, EIO, EROFS, EDQUOT}) {
    for (int n = 0;; ++n) {
      put(folder / "f", "old");
      const FaultAtCall fault(n, error);
      std::string message;
      try {
        write_file(folder / "f", "new");
      } catch (const core::FileError& e) {
        message = e.what();
      }
      if (!fault.happened()) {
        EXPECT_GE(n, 6);
        break;
      }
      EXPECT_THAT(message, HasSubstr(std::generic_category().message(error))) << n;
      EXPECT_THAT(message, HasSubstr(folder.path().string())) << n;
      EXPECT_THAT(read_file(folder / "f"), testing::AnyOf("old", "new")) << n;
      EXPECT_EQ(files_in(folder.path()), 1) << n;
    }
  }
}

TEST(Files, SayWhatToDoWhenTheDiskIsFull) {
  const TemporaryFolder folder;
  const FaultAtCall fault(1, ENOSPC);
  const std::string message = error_of([&] { write_file(folder / "f", "new"); });
  EXPECT_THAT(message, HasSubstr("cannot write to"));
  EXPECT_THAT(message, HasSubstr("No space left on device; free some space there, or write to another place"));
}

TEST(Files, RefuseAMissingFolderByName) {
  const TemporaryFolder folder;
  const std::string message = error_of([&] { write_file(folder / "no/f", "x"); });
  EXPECT_THAT(message, HasSubstr("No such file or directory"));
  EXPECT_THAT(message, HasSubstr((folder / "no").string()));
  EXPECT_THAT(error_of([&] { read_file(folder / "no"); }), HasSubstr("cannot open " + (folder / "no").string()));
}

TEST(Files, TakeNamesAsLongAsTheFileSystemDoes) {
  const TemporaryFolder folder;
  const std::string longest(255, 'n');
  write_file(folder / longest, "x");
  EXPECT_EQ(read_file(folder / longest), "x");
  EXPECT_THAT(error_of([&] { write_file(folder / (longest + "n"), "x"); }), HasSubstr("choose a shorter path"));
  EXPECT_EQ(files_in(folder.path()), 1);
}

TEST(Files, RefuseToReadWhatIsNotAFile) {
  const TemporaryFolder folder;
  EXPECT_THAT(error_of([&] { read_file(folder.path()); }), HasSubstr("is a folder; expected a file"));
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  EXPECT_THAT(error_of([&] { read_file(folder / "pipe"); }), HasSubstr("is a pipe or a device"));
  EXPECT_THAT(error_of([&] { read_file("/dev/zero"); }), HasSubstr("is a pipe or a device"));
}

TEST(Files, ReportAFileThatIsCutWhileItIsRead) {
  const TemporaryFolder folder;
  write_file(folder / "f", std::string(1000, 'x'));
  const InputFile file(folder / "f");
  fs::resize_file(folder / "f", 300);
  std::string bytes(1000, '\0');
  EXPECT_THAT(error_of([&] { file.read(0, bytes.data(), 1000); }), HasSubstr("ends at byte 300 while 700 more"));
}

TEST(Files, MakeFoldersOnAllLevels) {
  const TemporaryFolder folder;
  make_folders(folder / "a/b/c");
  make_folders(folder / "a/b/d/");
  EXPECT_TRUE(fs::is_directory(folder / "a/b/c"));
  EXPECT_TRUE(fs::is_directory(folder / "a/b/d"));
  write_file(folder / "file", "x");
  EXPECT_THAT(error_of([&] { make_folders(folder / "file/x"); }), HasSubstr("a file stands where a folder is needed"));
}

TEST(Files, ProveThatAFolderCanBeWrittenBeforeItMatters) {
  const TemporaryFolder folder;
  check_writable(folder / "new");
  EXPECT_EQ(files_in(folder / "new"), 0);
  const FaultAtCall fault(2, ENOSPC);
  EXPECT_THAT(error_of([&] { check_writable(folder / "new"); }), HasSubstr("No space left on device"));
  EXPECT_EQ(files_in(folder / "new"), 0);
}

TEST(Files, KnowTheirTemporaryNames) {
  const TemporaryFolder folder;
  EXPECT_TRUE(is_temporary(temporary_beside(folder / "last")));
  EXPECT_NE(temporary_beside(folder / "last"), temporary_beside(folder / "last"));
  for (const char* name : {"last", ".last", ".perceive", "perceive-tmp-1", ".last.perceive-tmp-1x"}) {
    EXPECT_FALSE(is_temporary(folder / name)) << name;
  }
}

}  // namespace
}  // namespace perceive::io
