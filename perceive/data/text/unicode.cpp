// Code points, out of bytes nobody vouches for, and what kind of character each is.
#include "perceive/data/text/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>

namespace perceive::data {
namespace {

constexpr size_t kLongestDecomposition = 32;  // code points; the longest canonical one has 4

// What a first byte announces: how many bytes follow it, and the bounds of the next one. None for a byte that begins
// nothing.
struct Sequence {
  uint8_t following, lowest, highest;
};

Sequence sequence_of(uint8_t first) {
  if (first >= 0xC2 && first <= 0xDF) return {1, 0x80, 0xBF};
  if (first == 0xE0) return {2, 0xA0, 0xBF};  // below: overlong
  if (first == 0xED) return {2, 0x80, 0x9F};  // above: surrogates
  if (first >= 0xE1 && first <= 0xEF) return {2, 0x80, 0xBF};
  if (first == 0xF0) return {3, 0x90, 0xBF};
  if (first >= 0xF1 && first <= 0xF3) return {3, 0x80, 0xBF};
  if (first == 0xF4) return {3, 0x80, 0x8F};  // above: beyond U+10FFFF
  return {0, 0, 0};
}

// Beyond ASCII.
bool is_space(char32_t point) {
  return point == 0x85 || point == 0xA0 || point == 0x1680 || (point >= 0x2000 && point <= 0x200A) || point == 0x2028 ||
         point == 0x2029 || point == 0x202F || point == 0x205F || point == 0x3000;
}

// Alphabetic by the property Other_Alphabetic, though no letters by category: letters in circles and squares.
bool is_framed_letter(char32_t point) {
  return (point >= 0x24B6 && point <= 0x24E9) || (point >= 0x1F130 && point <= 0x1F149) ||
         (point >= 0x1F150 && point <= 0x1F169) || (point >= 0x1F170 && point <= 0x1F189);
}

int combining_class(char32_t point) {
  return utf8proc_get_property(static_cast<utf8proc_int32_t>(point))->combining_class;
}

}  // namespace

char32_t next_code_point(std::string_view text, size_t& at) {
  const auto first = static_cast<uint8_t>(text[at++]);
  if (first < 0x80) return first;
  auto [following, lowest, highest] = sequence_of(first);
  if (following == 0) return kReplacementCharacter;
  char32_t point = first & (0x3F >> following);
  for (; following > 0; --following, lowest = 0x80, highest = 0xBF) {
    const uint8_t byte = at < text.size() ? static_cast<uint8_t>(text[at]) : 0;
    if (byte < lowest || byte > highest) return kReplacementCharacter;
    point = point << 6 | (byte & 0x3F);
    ++at;
  }
  return point;
}

void append_utf8(std::string& text, char32_t point) {
  if (point < 0x80) {
    text += static_cast<char>(point);
    return;
  }
  const int following = point < 0x800 ? 1 : point < 0x10000 ? 2 : 3;
  const auto mark = static_cast<char32_t>(0xFF00 >> (following + 1) & 0xFF);
  text += static_cast<char>(mark | point >> 6 * following);
  for (int i = following - 1; i >= 0; --i) text += static_cast<char>(0x80 | (point >> 6 * i & 0x3F));
}

std::string valid_utf8(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  for (size_t at = 0; at < text.size();) append_utf8(result, next_code_point(text, at));
  return result;
}

CharacterKind kind_beyond_ascii(char32_t point) {
  if (is_space(point)) return CharacterKind::space;
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(point))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC:
      return CharacterKind::word;
    default: {
      const bool joins = point == 0x200C || point == 0x200D;
      return joins || is_framed_letter(point) ? CharacterKind::word : CharacterKind::other;
    }
  }
}

bool is_mark(char32_t point) {
  if (point < 0x300) return false;
  const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(point));
  return category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_MC || category == UTF8PROC_CATEGORY_ME;
}

void append_lowercase(std::u32string& text, char32_t point) {
  if (point < 0x80) {
    text += point >= 'A' && point <= 'Z' ? point + ('a' - 'A') : point;
    return;
  }
  // The one character whose lower case has two code points; utf8proc knows mappings to one.
  if (point == 0x130) {
    text += U"i\u0307";
    return;
  }
  text += static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(point)));
}

void append_decomposed(std::u32string& text, char32_t point) {
  if (point < 0xC0) {
    text += point;
    return;
  }
  std::array<utf8proc_int32_t, kLongestDecomposition> parts;
  const auto count = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(point), parts.data(), parts.size(),
                                             UTF8PROC_DECOMPOSE, nullptr);
  for (utf8proc_ssize_t i = 0; i < count; ++i) text += static_cast<char32_t>(parts[static_cast<size_t>(i)]);
}

void sort_marks(std::u32string& text) {
  const auto is_starter = [](char32_t point) { return point < 0x300 || combining_class(point) == 0; };
  for (auto begin = text.begin(); begin != text.end();) {
    begin = std::find_if_not(begin, text.end(), is_starter);
    const auto end = std::find_if(begin, text.end(), is_starter);
    std::stable_sort(begin, end, [](char32_t a, char32_t b) { return combining_class(a) < combining_class(b); });
    begin = end;
  }
}

bool begins_anew(char32_t point) {
  std::u32string parts;
  append_decomposed(parts, point);
  return combining_class(parts[0]) == 0;
}

}  // namespace perceive::data
