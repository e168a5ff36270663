// Code points, out of bytes nobody vouches for, and what kind of character each is.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace perceive::data {

inline constexpr char32_t kReplacementCharacter = 0xFFFD;

// The code point at text[at], where `at` is below the size and is moved behind it. What is not UTF-8 (a surrogate, an
// overlong form, a sequence cut short) reads as U+FFFD, one for each longest part that could have begun a character:
// the practice the Unicode standard recommends (section 3.9), and what Python's errors="replace" does.
char32_t next_code_point(std::string_view text, size_t& at);
void append_utf8(std::string& text, char32_t point);
// The same text with U+FFFD for what is not UTF-8.
std::string valid_utf8(std::string_view text);

// As the regular expressions \s, \w and the rest tell them apart (Unicode Technical Standard 18, annex C).
enum class CharacterKind : uint8_t { space, word, other };
CharacterKind kind_beyond_ascii(char32_t point);
inline constexpr auto kAsciiKinds = [] {
  std::array<CharacterKind, 128> kinds;
  for (size_t i = 0; i < kinds.size(); ++i) {
    const bool letter = (i >= 'a' && i <= 'z') || (i >= 'A' && i <= 'Z');
    const bool word = letter || (i >= '0' && i <= '9') || i == '_';
    const bool space = i == ' ' || (i >= '\t' && i <= '\r');
    kinds[i] = word ? CharacterKind::word : space ? CharacterKind::space : CharacterKind::other;
  }
  return kinds;
}();
inline CharacterKind kind_of(char32_t point) {
  return point < kAsciiKinds.size() ? kAsciiKinds[point] : kind_beyond_ascii(point);
}

// Of a general category M: accents and other signs that belong to the letter before them.
bool is_mark(char32_t point);
// Appends the lower case of a character regardless of its neighbours: one code point, but for U+0130.
void append_lowercase(std::u32string& text, char32_t point);
// Appends the canonical decomposition; marks are not sorted yet.
void append_decomposed(std::u32string& text, char32_t point);
// Sorts each run of marks into canonical order. With append_decomposed() this is NFD.
void sort_marks(std::u32string& text);
// Whether text may be cut before `point` without a change to its NFD.
bool begins_anew(char32_t point);

}  // namespace perceive::data
