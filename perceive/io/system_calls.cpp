// Thin wrappers that turn errno into words.
#include "perceive/io/system_calls.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <system_error>

#include "perceive/core/error.h"

namespace perceive::io::system_calls {
namespace {

std::atomic<Hook> current_hook = nullptr;

// Repeats a call that a signal interrupted. -1 and errno, as system calls do.
template <class Call>
auto attempt(const char* name, Call&& call) -> decltype(call()) {
  if (const Hook hook = current_hook) {
    if (const int error = hook(name)) {
      errno = error;
      return -1;
    }
  }
  for (;;) {
    const auto result = call();
    if (result >= 0 || errno != EINTR) return result;
  }
}

const char* advice(int error) {
  switch (error) {
    case ENOSPC:
    case EDQUOT:
      return "free some space there, or write to another place";
    case EROFS:
      return "write to another place";
    case EACCES:
    case EPERM:
      return "change the permissions, or choose another place";
    case ENOENT:
      return "check the path";
    case EEXIST:
    case ENOTDIR:
    case EISDIR:
      return "a file stands where a folder is needed, or the other way round";
    case ENAMETOOLONG:
      return "choose a shorter path";
    case EIO:
      return "the device reports a fault; save what is on it";
    case EMFILE:
    case ENFILE:
      return "too many files are open: raise the limit (ulimit -n)";
    default:
      return nullptr;
  }
}

}  // namespace

void set_hook(Hook hook) {
  current_hook = hook;
}

void fail(int error, const std::string& doing, const Path& path) {
  const char* hint = advice(error);
  throw core::FileError(fmt::format("cannot {} {}: {}{}{}", doing, path.string(),
                                    std::generic_category().message(error), hint ? "; " : "", hint ? hint : ""));
}

int create(const Path& path) {
  const int fd = attempt("open", [&] { return ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666); });
  if (fd < 0) fail(errno, "create", path);
  return fd;
}

size_t write(int fd, std::string_view bytes, const Path& path) {
  const ssize_t written = attempt("write", [&] { return ::write(fd, bytes.data(), bytes.size()); });
  if (written < 0) fail(errno, "write to", path);
  return static_cast<size_t>(written);
}

void sync(int fd, const Path& path) {
  if (attempt("fsync", [&] { return ::fsync(fd); }) < 0) fail(errno, "bring to the disk (fsync)", path);
}

void sync_folder(const Path& folder) {
  const Path path = folder.empty() ? Path(".") : folder;
  const int fd = attempt("open folder", [&] { return ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); });
  if (fd < 0) fail(errno, "open", path);
  const int result = attempt("fsync folder", [&] { return ::fsync(fd); });
  const int error = errno;
  ::close(fd);
  // EINVAL: a file system that has no fsync for folders, and keeps their order itself.
  if (result < 0 && error != EINVAL) fail(error, "bring to the disk (fsync)", path);
}

void close(int fd, const Path& path) {
  // Linux has closed the file when it reports EINTR: a second close could hit another thread's file.
  const auto once = [&] { return ::close(fd) < 0 && errno != EINTR ? -1 : 0; };
  if (attempt("close", once) < 0) fail(errno, "close", path);
}

void rename(const Path& from, const Path& to) {
  if (attempt("rename", [&] { return ::rename(from.c_str(), to.c_str()); }) < 0) fail(errno, "move into place", to);
}

bool exchange(const Path& a, const Path& b) {
  const int result =
      attempt("exchange", [&] { return ::renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE); });
  if (result == 0) return true;
  if (errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP) return false;
  fail(errno, "replace", b);
}

void make_folder(const Path& folder) {
  if (attempt("mkdir", [&] { return ::mkdir(folder.c_str(), 0777); }) < 0) fail(errno, "make the folder", folder);
}

void remove_tree(const Path& path) {
  std::error_code error;
  if (std::filesystem::is_directory(std::filesystem::symlink_status(path, error))) {
    for (const auto& entry : std::filesystem::directory_iterator(path, error)) remove_tree(entry.path());
  }
  const int result = attempt("remove", [&] { return ::remove(path.c_str()); });
  if (result < 0 && errno != ENOENT) fail(errno, "remove", path);
}

}  // namespace perceive::io::system_calls
