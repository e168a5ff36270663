// A folder of a test's own, removed at its end; and failures of system calls at will.
#pragma once

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "perceive/core/error.h"
#include "perceive/io/system_calls.h"

namespace perceive::io {

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "perceive test ü XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// Without the care of write_file, which waits for the disk.
inline void put(const std::filesystem::path& file, std::string_view bytes) {
  std::ofstream(file, std::ios::binary) << bytes;
}

// While it lives, the n-th system call from now (counted from 0) fails with `error`; SIGKILL, as kKill, ends the
// process.
class FaultAtCall {
 public:
  static constexpr int kKill = -1;

  FaultAtCall(int n, int error) {
    left = n;
    failure = error;
    system_calls::set_hook([](const char*) {
      if (left-- != 0) return 0;
      if (failure == kKill) ::kill(::getpid(), SIGKILL);
      return failure;
    });
  }
  ~FaultAtCall() { system_calls::set_hook(nullptr); }
  bool happened() const { return left < 0; }

 private:
  static inline int left = 0, failure = 0;
};

// The message of the core::Error that `call` throws.
template <class Call>
std::string error_of(Call&& call) {
  try {
    call();
  } catch (const core::Error& e) {
    return e.what();
  }
  return "(no error)";
}

}  // namespace perceive::io
