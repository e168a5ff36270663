// Zip archives, as far as checkpoints use them: stored and deflated entries, zip64. No tensors here.
//
// Format: PKWARE's APPNOTE.TXT 6.3.10. Stricter than most readers, so that no two of them can see different files in
// the same bytes: the directory lies right before the records that end the file, says the same as the headers before
// each entry, and no entries overlap. Refused are names that come twice, are absolute or lead out of the archive,
// encryption, archives of several disks, and entries deflated more than a hundredfold.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "perceive/io/formats/bytes.h"

namespace perceive::io::zip {

struct Entry {
  std::string name;
  uint64_t size = 0;    // bytes of the content
  uint64_t packed = 0;  // bytes of it in the file
  uint64_t begin = 0;   // where those lie in the file
  uint32_t crc = 0;
  bool deflated = false;
};

// Of an entry, at most this many times its bytes in the file: a small file must not ask for a large memory.
inline constexpr uint64_t kMostExpansion = 100;

class Archive {
 public:
  // Reads and checks the directory, not the entries. Throws core::FileError, as everything here does.
  explicit Archive(Bytes file);
  Archive(const Archive&) = delete;
  Archive& operator=(const Archive&) = delete;

  const std::string& name() const { return file_.name; }
  uint64_t file_size() const { return file_.size; }
  const std::vector<Entry>& entries() const { return entries_; }  // in the order of the directory
  const Entry* find(std::string_view name) const;                 // null where there is none

  // Copies the `entry.size` bytes of the content, and compares their checksum.
  void read(const Entry& entry, void* to) const;
  std::string read(const Entry& entry) const;

 private:
  struct Directory;
  Directory find_directory() const;
  void read_directory(const Directory& directory);
  void find_data(Entry& entry, uint64_t header, uint64_t end) const;
  void inflate(const Entry& entry, void* to) const;
  std::string text(uint64_t offset, uint64_t bytes) const;
  [[noreturn]] void fail(const std::string& what) const;

  Bytes file_;
  std::vector<Entry> entries_;
  std::unordered_map<std::string_view, size_t> index_;
};

}  // namespace perceive::io::zip
