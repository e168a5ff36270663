// One program at a time in a folder.
#pragma once

#include <filesystem>

#include "perceive/io/files.h"

namespace perceive::io {

// Held until destroyed, or until the process ends in any way: no lock is ever left behind, only the small file `.lock`.
class FolderLock {
 public:
  // Throws core::FileError naming the process that holds the folder, and where the folder cannot be written.
  explicit FolderLock(const std::filesystem::path& folder);
  // False on file systems without locks (some network ones): nothing then keeps a second program out.
  bool works() const { return works_; }

 private:
  Descriptor file_;
  bool works_ = true;
};

}  // namespace perceive::io
