// Text as numbers, and back.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace perceive::data {

inline constexpr int64_t kNoLimit = std::numeric_limits<int64_t>::max();

enum class SpecialTokenText { skip, keep };

// Every function may be called from several threads. Any bytes are a text: what is not UTF-8 is defined by each.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;
  // All ids are below it.
  virtual int64_t size() const = 0;
  // The first `limit` ids of a text; what lies behind them is not looked at. No ids for an empty text.
  virtual std::vector<int64_t> encode(std::string_view text, int64_t limit = kNoLimit) const = 0;
  // Always UTF-8. Ids that are none are left out.
  virtual std::string decode(std::span<const int64_t> ids, SpecialTokenText special = SpecialTokenText::skip) const = 0;
  // Of "[PAD]", "[MASK]", …; nothing where it has no such token.
  virtual std::optional<int64_t> id_of(std::string_view token) const = 0;
  // Throws std::out_of_range for an id that is none.
  virtual std::string token_of(int64_t id) const = 0;
};

}  // namespace perceive::data
