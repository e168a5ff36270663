// A data file opened for reading.
#include "perceive/data/file.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "perceive/core/error.h"

namespace perceive::data {

File open_file(const std::string& path) {
  // Opening a pipe without O_NONBLOCK would wait for a writer that may never come.
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) {
    throw core::DataError(fmt::format("{}: cannot be read: {}", path, std::generic_category().message(errno)));
  }
  struct stat status {};
  if (::fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode)) {
    ::close(descriptor);
    const char* kind = S_ISDIR(status.st_mode) ? "a folder" : "not a regular file";
    throw core::DataError(fmt::format("{}: expected a file, and this is {}", path, kind));
  }
  File file{{::fdopen(descriptor, "rb"), &std::fclose}, static_cast<int64_t>(status.st_size)};
  if (!file.stream) {
    ::close(descriptor);
    throw core::DataError(fmt::format("{}: cannot be read: {}", path, std::generic_category().message(errno)));
  }
  return file;
}

std::string read_text(const std::string& path, uint64_t most) {
  const File file = open_file(path);
  const auto size = static_cast<uint64_t>(file.size);
  if (size > most) throw core::DataError(fmt::format("{}: {} bytes; the limit is {}", path, size, most));
  std::string text(size, '\0');
  // Read further than the size that was asked for: a file that changes meanwhile is neither cut nor filled up.
  const size_t read = std::fread(text.data(), 1, text.size(), file.stream.get());
  if (read != text.size() || std::fgetc(file.stream.get()) != EOF || std::ferror(file.stream.get())) {
    throw core::DataError(fmt::format("{}: of its {} bytes, {} could be read, or it grew meanwhile", path, size, read));
  }
  return text;
}

}  // namespace perceive::data
