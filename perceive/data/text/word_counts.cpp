// How often each word stands in many texts, counted by several threads.
#include "perceive/data/text/word_counts.h"

#include <algorithm>
#include <exception>
#include <mutex>
#include <thread>
#include <unordered_map>

#include "perceive/core/progress.h"
#include "perceive/data/text/words.h"

namespace perceive::data {
namespace {

constexpr size_t kTakenAtOnce = size_t{1} << 18;  // bytes of texts: long enough that threads seldom wait for each other

struct HashOfText {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
};
using Counts = std::unordered_map<std::string, int64_t, HashOfText, std::equal_to<>>;

class Counter {
 public:
  Counter(const NextText& next, const Normalizer& normalizer, bool progress)
      : next_(next), normalizer_(normalizer), progress_("counting words", 0, {.enabled = progress}) {}

  // What one thread does, until there are no more texts or one of them has failed.
  void work() {
    Counts counts;
    try {
      for (std::vector<std::string> texts; take(texts);) {
        for (const std::string& text : texts) count(text, counts);
      }
    } catch (...) {
      const std::lock_guard lock(mutex_);
      if (!error_) error_ = std::current_exception();
    }
    const std::lock_guard lock(mutex_);
    if (total_.empty()) total_.swap(counts);
    for (const auto& [word, number] : counts) total_[word] += number;
  }

  WordCounts result() {
    if (error_) std::rethrow_exception(error_);
    WordCounts sorted(total_.begin(), total_.end());
    std::sort(sorted.begin(), sorted.end());
    return sorted;
  }

 private:
  bool take(std::vector<std::string>& texts) {
    const std::lock_guard lock(mutex_);
    progress_.advance(static_cast<int64_t>(texts.size()));
    texts.clear();
    for (size_t bytes = 0; !ended_ && !error_ && bytes < kTakenAtOnce;) {
      auto text = next_();
      ended_ = !text;
      if (ended_) break;
      bytes += text->size() + 1;
      texts.push_back(std::move(*text));
    }
    return !texts.empty() && !error_;
  }

  void count(std::string_view text, Counts& counts) const {
    WordSplitter words(kLongestCountedWord);
    const auto give = [&](const Word& word) {
      if (word.characters > kLongestCountedWord) return;
      const auto found = counts.find(word.text);
      if (found == counts.end()) {
        counts.emplace(word.text, 1);
      } else {
        ++found->second;
      }
    };
    normalizer_.run(text, [&](std::u32string_view piece) {
      words.feed(piece, give);
      return true;
    });
    words.finish(give);
  }

  const NextText& next_;
  const Normalizer& normalizer_;
  std::mutex mutex_;  // of all below
  core::Progress progress_;
  bool ended_ = false;
  std::exception_ptr error_;
  Counts total_;
};

}  // namespace

WordCounts count_words(const NextText& next, const Normalizer& normalizer, int64_t threads, bool progress) {
  Counter counter(next, normalizer, progress);
  {
    std::vector<std::jthread> others;
    for (int64_t i = 1; i < threads; ++i) others.emplace_back([&] { counter.work(); });
    counter.work();
  }
  return counter.result();
}

}  // namespace perceive::data
