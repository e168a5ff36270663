// Files that appear whole or not at all, and reading that distrusts.
#include "perceive/io/files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

#include "perceive/core/error.h"
#include "perceive/io/system_calls.h"

namespace perceive::io {

namespace fs = std::filesystem;

namespace {

constexpr size_t kBufferBytes = 1 << 20;
const std::string kTemporary = ".perceive-tmp-";

}  // namespace

Descriptor::~Descriptor() {
  if (fd_ >= 0) ::close(fd_);
}

OutputFile::OutputFile(fs::path path) : path_(std::move(path)), file_(system_calls::create(path_)) {}

void OutputFile::drain(std::string_view bytes) {
  while (!bytes.empty()) bytes.remove_prefix(system_calls::write(file_.get(), bytes, path_));
}

void OutputFile::write(std::string_view bytes) {
  if (buffer_.size() + bytes.size() <= kBufferBytes) {
    buffer_ += bytes;
    return;
  }
  drain(buffer_);
  buffer_.clear();
  drain(bytes);
}

void OutputFile::finish() {
  drain(buffer_);
  buffer_.clear();
  system_calls::sync(file_.get(), path_);
  system_calls::close(file_.release(), path_);
}

AtomicFile::AtomicFile(fs::path path)
    : path_(std::move(path)), temporary_(temporary_beside(path_)), output_(temporary_) {}

AtomicFile::~AtomicFile() {
  if (!committed_) ::unlink(temporary_.c_str());
}

void AtomicFile::commit() {
  output_.finish();
  system_calls::rename(temporary_, path_);
  committed_ = true;
  system_calls::sync_folder(path_.parent_path());
}

void write_file(const fs::path& path, std::string_view bytes) {
  AtomicFile file(path);
  file.write(bytes);
  file.commit();
}

InputFile::InputFile(fs::path path) : path_(std::move(path)) {
  // O_NONBLOCK: a pipe under this name must not make us wait for its writer before we can refuse it.
  file_ = Descriptor(::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat status {};
  if (file_.get() < 0 || ::fstat(file_.get(), &status) < 0) system_calls::fail(errno, "open", fs::absolute(path_));
  if (S_ISDIR(status.st_mode)) throw core::FileError(fs::absolute(path_).string() + " is a folder; expected a file");
  if (!S_ISREG(status.st_mode)) {
    throw core::FileError(fs::absolute(path_).string() + " is a pipe or a device; expected a regular file");
  }
  size_ = static_cast<uint64_t>(status.st_size);
}

void InputFile::read(uint64_t offset, void* to, uint64_t bytes) const {
  auto* next = static_cast<char*>(to);
  while (bytes > 0) {
    const ssize_t count = ::pread(file_.get(), next, bytes, static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) system_calls::fail(errno, "read", path_);
    if (count == 0) {
      throw core::FileError(fmt::format("{}: ends at byte {} while {} more are expected: it was cut while being read",
                                        path_.string(), offset, bytes));
    }
    next += count;
    offset += static_cast<uint64_t>(count);
    bytes -= static_cast<uint64_t>(count);
  }
}

Bytes bytes_of(const InputFile& file) {
  return {file.path().string(), file.size(),
          [&file](uint64_t offset, void* to, uint64_t bytes) { file.read(offset, to, bytes); }};
}

std::string read_file(const fs::path& path) {
  const InputFile file(path);
  std::string bytes(file.size(), '\0');
  file.read(0, bytes.data(), bytes.size());
  return bytes;
}

fs::path temporary_beside(const fs::path& path) {
  constexpr size_t kKept = 180;  // names end at 255 bytes
  static std::atomic<int64_t> counter = 0;
  return path.parent_path() /
         fmt::format(".{}{}{}-{}", path.filename().string().substr(0, kKept), kTemporary, ::getpid(), counter++);
}

bool is_temporary(const fs::path& path) {
  const std::string name = path.filename().string();
  const size_t at = name.rfind(kTemporary);
  return name.starts_with('.') && at != std::string::npos &&
         name.find_first_not_of("0123456789-", at + kTemporary.size()) == std::string::npos;
}

void make_folders(const fs::path& folder) {
  std::error_code ignored;
  if (folder.empty() || fs::is_directory(folder, ignored)) return;
  make_folders(folder.parent_path());
  if (fs::is_directory(folder, ignored)) return;  // "a/b/" is made by way of "a/b"
  system_calls::make_folder(folder);
  system_calls::sync_folder(folder.parent_path());
}

void check_writable(const fs::path& folder) {
  make_folders(folder);
  const fs::path probe = temporary_beside(folder / "probe");
  write_file(probe, std::string(4096, '.'));
  system_calls::remove_tree(probe);
}

}  // namespace perceive::io
