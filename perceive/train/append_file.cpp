// A file that grows record by record and holds whole records only.
#include "perceive/train/append_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "perceive/core/error.h"
#include "perceive/io/system_calls.h"

namespace perceive::train {

void AppendFile::open() {
  io::make_folders(std::filesystem::absolute(path_).parent_path());
  file_ = io::Descriptor(::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666));
  if (file_.get() < 0) io::system_calls::fail(errno, "write", path_);
}

bool AppendFile::append(std::string_view record) {
  try {
    if (file_.get() < 0) open();
    const off_t good = ::lseek(file_.get(), 0, SEEK_END);
    try {
      std::string_view rest = record;
      while (!rest.empty()) rest.remove_prefix(io::system_calls::write(file_.get(), rest, path_));
    } catch (const core::FileError&) {
      if (::ftruncate(file_.get(), good) < 0) file_ = {};
      throw;
    }
    return true;
  } catch (const core::FileError& e) {
    warn(e.what());
    return false;
  }
}

bool AppendFile::replace(std::string_view bytes) {
  try {
    io::make_folders(std::filesystem::absolute(path_).parent_path());
    io::write_file(path_, bytes);
    open();
    return true;
  } catch (const core::FileError& e) {
    warn(e.what());
    return false;
  }
}

void AppendFile::warn(const std::string& what) {
  if (std::exchange(warned_, true) || !warn_) return;
  warn_(what + "; training goes on, what cannot be written is lost");
}

}  // namespace perceive::train
