// SHA-256 (FIPS 180-4), to tell whether a file still holds what was written.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace perceive::io {

class Sha256 {
 public:
  void update(std::string_view bytes);
  std::string hex();  // of all updates; ends the object's use

 private:
  void block(const unsigned char* bytes);

  std::array<uint32_t, 8> state_{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<unsigned char, 64> pending_{};
  uint64_t bytes_ = 0;
};

std::string sha256(std::string_view bytes);
// Throws core::FileError as InputFile does.
std::string sha256_of_file(const std::filesystem::path& path);

}  // namespace perceive::io
