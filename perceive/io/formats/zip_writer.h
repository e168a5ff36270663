// Writing zip archives of stored entries, as torch.save does. No tensors here.
//
// Format: as in zip.h; zip64 where sizes, places or the number of entries need it. The same entries give the same
// bytes.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace perceive::io::zip {

// The content of each entry begins at a multiple of this many bytes, so that it can be used where it is mapped.
inline constexpr uint64_t kAlignment = 64;

class Writer {
 public:
  // `sink` takes the bytes of the archive in their order.
  explicit Writer(std::function<void(std::string_view)> sink) : sink_(std::move(sink)) {}
  // Names are relative paths, each once, of at most 65535 bytes.
  void add(const std::string& name, std::string_view content);
  void finish();  // writes the directory; nothing follows

 private:
  void write(std::string_view bytes);

  std::function<void(std::string_view)> sink_;
  uint64_t written_ = 0, entries_ = 0;
  std::string directory_;
};

}  // namespace perceive::io::zip
