// Tokens that stand in a text by their names.
#include "perceive/data/text/special_tokens.h"

#include <fmt/core.h>

#include <algorithm>
#include <set>

#include "perceive/core/error.h"
#include "perceive/core/text.h"

namespace perceive::data {

constexpr size_t kMostTokens = 1000;  // of a file from strangers: each costs time at every byte of a text

SpecialTokens::SpecialTokens(std::vector<Token> tokens) : tokens_(std::move(tokens)) {
  if (tokens_.size() > kMostTokens) {
    throw core::ConfigError(fmt::format("special tokens: expected at most {}, got {}", kMostTokens, tokens_.size()));
  }
  std::set<std::string_view> seen;
  for (size_t i = 0; i < tokens_.size(); ++i) {
    const std::string& name = tokens_[i].first;
    if (name.empty()) throw core::ConfigError("special tokens: a name is empty");
    if (!seen.insert(name).second) {
      throw core::ConfigError("special tokens: " + core::in_quotes(name) + " stands there twice");
    }
    by_first_byte_[static_cast<uint8_t>(name[0])].push_back(static_cast<uint16_t>(i));
  }
  const auto same = [&](const Token& token) { return token.first[0] == tokens_[0].first[0]; };
  if (!tokens_.empty() && std::all_of(tokens_.begin(), tokens_.end(), same)) only_first_byte_ = tokens_[0].first[0];
  for (auto& places : by_first_byte_) {
    std::sort(places.begin(), places.end(),
              [&](uint16_t a, uint16_t b) { return tokens_[a].first.size() > tokens_[b].first.size(); });
  }
}

bool SpecialTokens::contains(int64_t id) const {
  return std::any_of(tokens_.begin(), tokens_.end(), [id](const Token& token) { return token.second == id; });
}

SpecialTokens::Match SpecialTokens::find(std::string_view text, size_t from) const {
  // Most often all of them begin with one character, and the library finds that many bytes at a time.
  const auto next = [&](size_t at) {
    return only_first_byte_ ? std::min(text.find(*only_first_byte_, at), text.size()) : at;
  };
  for (size_t at = next(from); at < text.size(); at = next(at + 1)) {
    for (const uint16_t place : by_first_byte_[static_cast<uint8_t>(text[at])]) {
      const auto& [name, id] = tokens_[place];
      if (text.substr(at).starts_with(name)) return {at, at + name.size(), id};
    }
  }
  return {text.size(), text.size(), 0};
}

}  // namespace perceive::data
