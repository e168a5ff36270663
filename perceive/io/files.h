// Files that appear whole or not at all, and reading that distrusts.
//
// Every function throws core::FileError with the path, the system's reason and what to do about it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>

#include "perceive/io/formats/bytes.h"

namespace perceive::io {

// An open file or folder, closed at the end of its scope.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor();
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_ = -1;
};

// A new file, on the disk once finish() has returned.
class OutputFile {
 public:
  explicit OutputFile(std::filesystem::path path);  // empties what is there
  void write(std::string_view bytes);
  void finish();  // fsync and close

 private:
  void drain(std::string_view bytes);

  std::filesystem::path path_;
  Descriptor file_;
  std::string buffer_;
};

// Written beside its place under a temporary name and moved there by commit(): until then the old file stands, and
// without it, it stands for ever. In a crash at any moment the name holds the old bytes or the new.
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  void write(std::string_view bytes) { output_.write(bytes); }
  void commit();

 private:
  std::filesystem::path path_, temporary_;
  OutputFile output_;
  bool committed_ = false;
};

void write_file(const std::filesystem::path& path, std::string_view bytes);

// A regular file, read by copying: a file that shrinks meanwhile is an error, never a signal.
class InputFile {
 public:
  explicit InputFile(std::filesystem::path path);
  uint64_t size() const { return size_; }
  const std::filesystem::path& path() const { return path_; }
  int descriptor() const { return file_.get(); }
  void read(uint64_t offset, void* to, uint64_t bytes) const;

 private:
  std::filesystem::path path_;
  Descriptor file_;
  uint64_t size_ = 0;
};

// Which must outlive them.
Bytes bytes_of(const InputFile& file);

std::string read_file(const std::filesystem::path& path);

// A name beside `path` for what is to be moved there. None of ours remains but after a crash: is_temporary() knows
// them.
std::filesystem::path temporary_beside(const std::filesystem::path& path);
bool is_temporary(const std::filesystem::path& path);

// The folder and those above it, made if they are not there, and on the disk.
void make_folders(const std::filesystem::path& folder);
// Makes the folder if need be, and proves that files can be written there, before hours are spent on what they will
// hold.
void check_writable(const std::filesystem::path& folder);

}  // namespace perceive::io
