// Texts that the tests make up: of all scripts, and of bytes that are no text.
#pragma once

#include <random>
#include <string>

#include "perceive/data/text/unicode.h"

namespace perceive::data {

inline std::string random_text(std::mt19937& random, size_t characters) {
  constexpr char32_t kStarts[] = {0,      0,      0,      0x80,   0x300,  0x370,   0x400,  0x900,
                                  0x1100, 0x1E00, 0x2000, 0xAC00, 0xFE00, 0x1D100, 0x1F100};
  std::string text;
  for (size_t i = 0; i < characters; ++i) {
    append_utf8(text, kStarts[random() % std::size(kStarts)] + static_cast<char32_t>(random() % 0x80));
  }
  return text;
}

inline std::string random_bytes(std::mt19937& random, size_t bytes) {
  constexpr unsigned char kBytes[] = {0x00, 0x20, 0x41, 0x80, 0xA0, 0xBF, 0xC0,
                                      0xC3, 0xE0, 0xED, 0xEF, 0xF0, 0xF4, 0xFF};
  std::string text;
  for (size_t i = 0; i < bytes; ++i)
    text += static_cast<char>(random() % 2 ? kBytes[random() % std::size(kBytes)] : random() % 256);
  return text;
}

}  // namespace perceive::data
