// What is done to text before it is cut into words.
#include "perceive/data/text/normalizer.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstdint>
#include <utility>

#include "perceive/core/error.h"
#include "perceive/core/text.h"
#include "perceive/data/text/unicode.h"

namespace perceive::data {
namespace {

constexpr size_t kPiece = size_t{1} << 14;    // code points
constexpr size_t kLongestReplacement = 1000;  // bytes: it bounds by how much a text can grow

std::string replaced(std::string_view text, const Replacement& replacement) {
  std::string result;
  size_t at = 0;
  for (size_t found; (found = text.find(replacement.pattern, at)) != text.npos;) {
    result.append(text, at, found - at).append(replacement.content);
    at = found + replacement.pattern.size();
  }
  return result.append(text, at);
}

void apply(NormalizerStep step, std::u32string& text, std::u32string& spare) {
  spare.clear();
  switch (step) {
    case NormalizerStep::nfd:
      for (const char32_t point : text) append_decomposed(spare, point);
      sort_marks(spare);
      break;
    case NormalizerStep::lowercase:
      for (const char32_t point : text) append_lowercase(spare, point);
      break;
    case NormalizerStep::strip_accents:
      std::copy_if(text.begin(), text.end(), std::back_inserter(spare), [](char32_t point) { return !is_mark(point); });
      break;
  }
  std::swap(text, spare);
}

}  // namespace

void check(const NormalizerOptions& options) {
  for (const auto& [pattern, content] : options.replacements) {
    for (const std::string& text : {pattern, content}) {
      if (text.size() > kLongestReplacement || core::first_invalid_utf8(text) != std::string::npos) {
        throw core::ConfigError(fmt::format("replacement of {} by {}: expected UTF-8 of at most {} bytes",
                                            core::in_quotes(pattern), core::in_quotes(content), kLongestReplacement));
      }
    }
    if (pattern.empty()) throw core::ConfigError("replacements: expected a text to replace, got an empty one");
  }
}

Normalizer::Normalizer(NormalizerOptions options) : options_(std::move(options)) {
  check(options_);
}

void Normalizer::run(std::string_view text, const Take& take) const {
  std::string copy;
  for (const Replacement& replacement : options_.replacements) {
    if (text.find(replacement.pattern) == text.npos) continue;
    copy = replaced(text, replacement);
    text = copy;
  }
  std::u32string piece, spare;
  bool ascii = true;  // the whole piece
  const auto give = [&] {
    for (const NormalizerStep step : options_.steps) {
      if (!ascii) {
        apply(step, piece, spare);
      } else if (step == NormalizerStep::lowercase) {
        for (char32_t& point : piece) point += point >= 'A' && point <= 'Z' ? 'a' - 'A' : 0;
      }
    }
    const bool more = take(piece);
    piece.clear();
    ascii = true;
    return more;
  };
  for (size_t at = 0; at < text.size();) {
    const bool is_ascii = static_cast<uint8_t>(text[at]) < 0x80;
    const char32_t point = is_ascii ? static_cast<char32_t>(text[at++]) : next_code_point(text, at);
    if (piece.size() >= kPiece && (is_ascii || begins_anew(point)) && !give()) return;
    piece += point;
    ascii = ascii && is_ascii;
  }
  if (!piece.empty()) give();
}

std::string Normalizer::operator()(std::string_view text) const {
  std::string result;
  run(text, [&](std::u32string_view piece) {
    for (const char32_t point : piece) append_utf8(result, point);
    return true;
  });
  return result;
}

}  // namespace perceive::data
