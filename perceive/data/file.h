// A data file opened for reading.
#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>

namespace perceive::data {

struct File {
  std::unique_ptr<FILE, int (*)(FILE*)> stream;
  int64_t size;  // in bytes
};

// Throws core::DataError naming `path` where it is missing, unreadable, or no regular file (a folder, a pipe).
File open_file(const std::string& path);
// All of it. Throws core::DataError, too, for a file of more than `most` bytes.
std::string read_text(const std::string& path, uint64_t most);

}  // namespace perceive::data
