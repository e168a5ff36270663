// Tokens that stand in a text by their names: "[MASK]".
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace perceive::data {

class SpecialTokens {
 public:
  using Token = std::pair<std::string, int64_t>;  // name, id
  // Throws core::ConfigError for an empty name, a name twice, and more than 1000 of them.
  explicit SpecialTokens(std::vector<Token> tokens);
  const std::vector<Token>& tokens() const { return tokens_; }
  bool contains(int64_t id) const;

  // Calls text(part) for what lies between the tokens and token(id) for each of them, in their order, until one
  // returns false. Where several could stand, it is the leftmost, and of those the longest; also inside of words.
  template <class OnText, class OnToken>
  void split(std::string_view whole, OnText&& text, OnToken&& token) const {
    for (size_t at = 0; at < whole.size();) {
      const auto [begin, end, id] = find(whole, at);
      if (begin > at && !text(whole.substr(at, begin - at))) return;
      if (end > begin && !token(id)) return;
      at = end;
    }
  }

 private:
  struct Match {
    size_t begin, end;  // both at the text's end where there is none
    int64_t id;
  };
  Match find(std::string_view text, size_t from) const;

  std::vector<Token> tokens_;
  std::array<std::vector<uint16_t>, 256> by_first_byte_;  // places in tokens_, the longest names first
  std::optional<char> only_first_byte_;                   // where all begin with it
};

}  // namespace perceive::data
