// A file as the readers of formats see it: bytes that are asked for by their place.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

namespace perceive::io {

struct Bytes {
  std::string name;  // for messages
  uint64_t size = 0;
  // Copies bytes that lie within the size; throws core::FileError where the file does not give them.
  std::function<void(uint64_t offset, void* to, uint64_t bytes)> read;
};

// Of a text in memory, which must outlive it.
inline Bytes bytes_of(std::string_view text, std::string name) {
  return {std::move(name), text.size(),
          [text](uint64_t offset, void* to, uint64_t bytes) { text.copy(static_cast<char*>(to), bytes, offset); }};
}

}  // namespace perceive::io
