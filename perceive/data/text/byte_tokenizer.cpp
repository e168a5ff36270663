// UTF-8 bytes as tokens.
#include "perceive/data/text/byte_tokenizer.h"

#include <fmt/core.h>

#include <stdexcept>

#include "perceive/data/text/unicode.h"

namespace perceive::data {
namespace {

constexpr int64_t kFirstByte = 6, kBytes = 256;

}  // namespace

ByteTokenizer::ByteTokenizer()
    : special_({{"[PAD]", 0}, {"[BOS]", 1}, {"[EOS]", 2}, {"[MASK]", 3}, {"[CLS]", 4}, {"[SEP]", 5}}) {}

int64_t ByteTokenizer::size() const {
  return kFirstByte + kBytes;
}

std::vector<int64_t> ByteTokenizer::encode(std::string_view text, int64_t limit) const {
  std::vector<int64_t> ids;
  const auto room = [&] { return static_cast<int64_t>(ids.size()) < limit; };
  const auto add = [&](int64_t id) {
    if (room()) ids.push_back(id);
    return room();
  };
  special_.split(
      text,
      [&](std::string_view part) {
        for (const char byte : part) {
          if (!add(kFirstByte + static_cast<uint8_t>(byte))) return false;
        }
        return true;
      },
      add);
  return ids;
}

std::string ByteTokenizer::decode(std::span<const int64_t> ids, SpecialTokenText special) const {
  std::string bytes;
  for (const int64_t id : ids) {
    if (id >= kFirstByte && id < size()) {
      bytes += static_cast<char>(id - kFirstByte);
    } else if (id >= 0 && id < kFirstByte && special == SpecialTokenText::keep) {
      bytes += token_of(id);
    }
  }
  return valid_utf8(bytes);
}

std::optional<int64_t> ByteTokenizer::id_of(std::string_view token) const {
  for (const auto& [name, id] : special_.tokens()) {
    if (name == token) return id;
  }
  if (token.empty()) return {};
  size_t end = 0;
  const char32_t point = next_code_point(token, end);
  if (end < token.size() || point >= kBytes) return {};
  return kFirstByte + static_cast<int64_t>(point);
}

std::string ByteTokenizer::token_of(int64_t id) const {
  if (id < 0 || id >= size()) throw std::out_of_range(fmt::format("expected an id below {}, got {}", size(), id));
  if (id < kFirstByte) return special_.tokens()[static_cast<size_t>(id)].first;
  std::string name;
  append_utf8(name, static_cast<char32_t>(id - kFirstByte));
  return name;
}

}  // namespace perceive::data
