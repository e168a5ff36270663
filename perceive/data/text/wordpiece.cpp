// WordPiece: words as the longest pieces of a vocabulary, from their front to their end.
#include "perceive/data/text/wordpiece.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <stdexcept>
#include <utility>

#include "perceive/core/error.h"
#include "perceive/core/text.h"
#include "perceive/data/text/words.h"

namespace perceive::data {
namespace {

// In this order, each over the whole text.
constexpr std::array<std::pair<std::string_view, std::string_view>, 11> kCleanup{{{" .", "."},
                                                                                  {" ?", "?"},
                                                                                  {" !", "!"},
                                                                                  {" ,", ","},
                                                                                  {" ' ", "'"},
                                                                                  {" n't", "n't"},
                                                                                  {" 'm", "'m"},
                                                                                  {" do not", " don't"},
                                                                                  {" 's", "'s"},
                                                                                  {" 've", "'ve"},
                                                                                  {" 're", "'re"}}};

void replace_all(std::string& text, std::string_view pattern, std::string_view content) {
  if (text.find(pattern) == text.npos) return;
  std::string result;
  size_t at = 0;
  for (size_t found; (found = text.find(pattern, at)) != text.npos;) {
    result.append(text, at, found - at).append(content);
    at = found + pattern.size();
  }
  text = result.append(text, at);
}

bool continues_a_character(char byte) {
  return (static_cast<uint8_t>(byte) & 0xC0) == 0x80;
}

[[noreturn]] void refuse(const std::string& message) {
  throw core::ConfigError("WordPiece: " + message);
}

}  // namespace

void WordPieceTokenizer::Pieces::add(std::string_view text, int64_t id) {
  ids.emplace(text, id);
  longest = std::max(longest, text.size());
}

std::pair<int64_t, size_t> WordPieceTokenizer::Pieces::longest_at(std::string_view text) const {
  for (size_t length = std::min(text.size(), longest); length > 0; --length) {
    if (length < text.size() && continues_a_character(text[length])) continue;
    if (const auto found = ids.find(text.substr(0, length)); found != ids.end()) return {found->second, length};
  }
  return {0, 0};
}

WordPieceTokenizer::WordPieceTokenizer(std::vector<std::string> vocabulary, const std::vector<std::string>& special,
                                       WordPieceOptions options)
    : options_(std::move(options)), normalizer_(options_.normalizer), vocabulary_(std::move(vocabulary)), special_({}) {
  if (options_.longest_word < 1) refuse(fmt::format("longest_word: expected 1 or more, got {}", options_.longest_word));
  for (size_t i = 0; i < vocabulary_.size(); ++i) {
    const std::string_view token = vocabulary_[i];
    const auto id = static_cast<int64_t>(i);
    if (token.empty()) refuse(fmt::format("token {} is empty", id));
    if (core::first_invalid_utf8(token) != token.npos) refuse(fmt::format("token {} is not UTF-8", id));
    if (const auto other = id_of(token)) {
      refuse(fmt::format("{} is token {} and token {}", core::in_quotes(token), *other, id));
    }
    // A piece with the prefix is a beginning too: a word may begin with the prefix's own characters.
    beginnings_.add(token, id);
    if (token.size() > options_.prefix.size() && token.starts_with(options_.prefix)) {
      continuations_.add(token.substr(options_.prefix.size()), id);
    }
  }
  const auto required = [&](const std::string& name, const char* what) {
    const auto id = id_of(name);
    if (!id) {
      refuse(fmt::format("the {} token {} is not among the {} tokens of the vocabulary", what, core::in_quotes(name),
                         vocabulary_.size()));
    }
    return *id;
  };
  unknown_ = required(options_.unknown, "unknown");
  std::vector<SpecialTokens::Token> named;
  for (const std::string& name : special) named.emplace_back(name, required(name, "special"));
  special_ = SpecialTokens(std::move(named));
}

int64_t WordPieceTokenizer::size() const {
  return static_cast<int64_t>(vocabulary_.size());
}

void WordPieceTokenizer::append_pieces(std::string_view word, std::vector<int64_t>& ids) const {
  const size_t before = ids.size();
  for (size_t at = 0; at < word.size();) {
    const auto [id, length] = (at == 0 ? beginnings_ : continuations_).longest_at(word.substr(at));
    if (length == 0) {
      ids.resize(before);
      ids.push_back(unknown_);
      return;
    }
    ids.push_back(id);
    at += length;
  }
}

std::vector<int64_t> WordPieceTokenizer::encode(std::string_view text, int64_t limit) const {
  std::vector<int64_t> ids;
  const auto room = [&] { return static_cast<int64_t>(ids.size()) < limit; };
  const auto longest = static_cast<size_t>(options_.longest_word);
  const auto encode_part = [&](std::string_view part) {
    WordSplitter words(longest);
    const auto give = [&](const Word& word) {
      if (!room()) return;
      if (word.characters > longest) {
        ids.push_back(unknown_);
      } else {
        append_pieces(word.text, ids);
      }
    };
    normalizer_.run(part, [&](std::u32string_view piece) {
      words.feed(piece, give);
      return room();
    });
    words.finish(give);
    return room();
  };
  if (room()) {
    special_.split(text, encode_part, [&](int64_t id) {
      ids.push_back(id);
      return room();
    });
  }
  if (!room()) ids.resize(static_cast<size_t>(std::max<int64_t>(limit, 0)));
  return ids;
}

std::string WordPieceTokenizer::decode(std::span<const int64_t> ids, SpecialTokenText special) const {
  std::string text;
  bool first = true;
  for (const int64_t id : ids) {
    if (id < 0 || id >= size() || (special == SpecialTokenText::skip && special_.contains(id))) continue;
    std::string_view token = vocabulary_[static_cast<size_t>(id)];
    if (!first && token.starts_with(options_.prefix)) {
      token.remove_prefix(options_.prefix.size());
    } else if (!first) {
      text += ' ';
    }
    first = false;
    text += token;
  }
  if (options_.cleanup) {
    for (const auto& [pattern, content] : kCleanup) replace_all(text, pattern, content);
  }
  return text;
}

std::optional<int64_t> WordPieceTokenizer::id_of(std::string_view token) const {
  const auto found = beginnings_.ids.find(token);
  if (found == beginnings_.ids.end()) return {};
  return found->second;
}

std::string WordPieceTokenizer::token_of(int64_t id) const {
  if (id < 0 || id >= size()) throw std::out_of_range(fmt::format("expected an id below {}, got {}", size(), id));
  return vocabulary_[static_cast<size_t>(id)];
}

}  // namespace perceive::data
