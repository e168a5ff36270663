// One program at a time in a folder.
#include "perceive/io/lock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "perceive/core/error.h"
#include "perceive/io/system_calls.h"

namespace perceive::io {

FolderLock::FolderLock(const std::filesystem::path& folder) {
  make_folders(folder);
  const auto path = folder / ".lock";
  file_ = Descriptor(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666));
  if (file_.get() < 0) system_calls::fail(errno, "create", path);

  int result;
  do result = ::flock(file_.get(), LOCK_EX | LOCK_NB);
  while (result < 0 && errno == EINTR);
  if (result < 0 && errno == EWOULDBLOCK) {
    std::array<char, 300> holder{};
    const ssize_t bytes = ::pread(file_.get(), holder.data(), holder.size() - 1, 0);
    throw core::FileError(fmt::format("{} is in use by {}: wait for it to end, or choose another folder",
                                      folder.string(), bytes > 0 ? holder.data() : "another process"));
  }
  if (result < 0) {
    if (errno != ENOLCK && errno != ENOSYS && errno != EOPNOTSUPP) system_calls::fail(errno, "lock", path);
    works_ = false;
  }

  std::array<char, 256> host{};
  ::gethostname(host.data(), host.size() - 1);
  const std::string holder = fmt::format("process {} on {}", ::getpid(), host.data());
  // Only for the message above: the lock itself does not depend on it.
  if (::ftruncate(file_.get(), 0) < 0 || ::pwrite(file_.get(), holder.data(), holder.size(), 0) < 0) return;
}

}  // namespace perceive::io
