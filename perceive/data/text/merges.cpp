// Byte-pair encoding over words: the pieces of a WordPiece vocabulary.
#include "perceive/data/text/merges.h"

#include <algorithm>
#include <queue>
#include <set>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "perceive/core/progress.h"
#include "perceive/data/text/unicode.h"

namespace perceive::data {
namespace {

using Symbol = uint32_t;
using Pair = uint64_t;  // the first symbol above the second: the order of pairs is that of these numbers

Pair pair_of(Symbol first, Symbol second) {
  return Pair{first} << 32 | second;
}

class Learner {
 public:
  Learner(const WordCounts& words, const MergeOptions& options) : options_(options) {
    for (const std::string& token : options.first_tokens) symbol_of(token);
    std::set<char32_t> all, following;
    for (const auto& [word, count] : words) {
      for (size_t at = 0; at < word.size();) {
        const bool first = at == 0;
        const char32_t point = next_code_point(word, at);
        all.insert(point);
        if (!first) following.insert(point);
      }
    }
    for (const char32_t point : all) symbol_of(character(point));
    for (const char32_t point : following) symbol_of(options.prefix + character(point));
    for (const auto& [word, count] : words) add(word, count);
  }

  std::vector<std::string> learn() {
    core::Progress progress("learning pieces", options_.vocab_size, {.enabled = options_.progress}, size());
    enqueue();
    while (size() < options_.vocab_size && !queue_.empty()) {
      Entry top = std::move(const_cast<Entry&>(queue_.top()));
      queue_.pop();
      const int64_t count = counts_[top.pair];
      if (count != top.count) {
        top.count = count;
        queue_.push(std::move(top));
        continue;
      }
      if (count < 1 || count < options_.min_frequency) break;
      const int64_t before = size();
      merge(top);
      enqueue();
      progress.advance(size() - before);
    }
    return std::move(tokens_);
  }

 private:
  struct Spelling {
    std::vector<Symbol> symbols;
    int64_t count;
  };
  // A pair, how frequent it was when it was put in, and the words in which it had just appeared. One pair may have
  // several entries, with words of their own.
  struct Entry {
    Pair pair;
    int64_t count;
    std::vector<uint32_t> words;
    bool operator<(const Entry& other) const { return count != other.count ? count < other.count : pair > other.pair; }
  };

  static std::string character(char32_t point) {
    std::string text;
    append_utf8(text, point);
    return text;
  }
  int64_t size() const { return static_cast<int64_t>(tokens_.size()); }

  // Two merges may spell one token; it keeps its first id.
  Symbol symbol_of(const std::string& token) {
    const auto [place, is_new] = symbols_.emplace(token, static_cast<Symbol>(tokens_.size()));
    if (is_new) tokens_.push_back(token);
    return place->second;
  }

  void add(const std::string& word, int64_t count) {
    Spelling spelling{{}, count};
    for (size_t at = 0; at < word.size();) {
      const bool first = at == 0;
      const std::string text = character(next_code_point(word, at));
      spelling.symbols.push_back(symbol_of(first ? text : options_.prefix + text));
    }
    const auto place = static_cast<uint32_t>(words_.size());
    for (size_t i = 1; i < spelling.symbols.size(); ++i) {
      change(pair_of(spelling.symbols[i - 1], spelling.symbols[i]), count, place);
    }
    words_.push_back(std::move(spelling));
  }

  void change(Pair pair, int64_t by, uint32_t word) {
    counts_[pair] += by;
    if (by < 0) return;
    auto& places = appeared_[pair];
    if (places.empty() || places.back() != word) places.push_back(word);
  }

  void enqueue() {
    for (auto& [pair, places] : appeared_) {
      if (const int64_t count = counts_[pair]; count > 0) queue_.push({pair, count, std::move(places)});
    }
    appeared_.clear();
  }

  // The count of the merged pair itself stays as it was, as in `tokenizers`: it matters where the same two tokens come
  // together once more later, because one of them was spelled by another merge.
  void merge(const Entry& entry) {
    const auto first = static_cast<Symbol>(entry.pair >> 32), second = static_cast<Symbol>(entry.pair);
    std::string_view end = tokens_[second];
    if (end.starts_with(options_.prefix)) end.remove_prefix(options_.prefix.size());
    const Symbol merged = symbol_of(tokens_[first] + std::string(end));
    for (const uint32_t place : entry.words) {
      auto& [symbols, count] = words_[place];
      size_t kept = 0;
      for (size_t i = 0; i < symbols.size(); ++i, ++kept) {
        const bool here = i + 1 < symbols.size() && symbols[i] == first && symbols[i + 1] == second;
        if (!here) {
          symbols[kept] = symbols[i];
          continue;
        }
        if (kept > 0) {
          change(pair_of(symbols[kept - 1], first), -count, place);
          change(pair_of(symbols[kept - 1], merged), count, place);
        }
        ++i;
        if (i + 1 < symbols.size()) {
          change(pair_of(second, symbols[i + 1]), -count, place);
          change(pair_of(merged, symbols[i + 1]), count, place);
        }
        symbols[kept] = merged;
      }
      symbols.resize(kept);
    }
  }

  const MergeOptions& options_;
  std::vector<std::string> tokens_;
  std::unordered_map<std::string, Symbol> symbols_;
  std::vector<Spelling> words_;
  std::unordered_map<Pair, int64_t> counts_;
  std::unordered_map<Pair, std::vector<uint32_t>> appeared_;  // since enqueue(): pairs, and in which words
  std::priority_queue<Entry> queue_;
};

}  // namespace

std::vector<std::string> learn_pieces(const WordCounts& words, const MergeOptions& options) {
  return Learner(words, options).learn();
}

}  // namespace perceive::data
