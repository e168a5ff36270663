// How often each word stands in many texts, counted by several threads.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "perceive/data/text/normalizer.h"

namespace perceive::data {

// The next text, or nothing at the end. It is called by one thread at a time.
using NextText = std::function<std::optional<std::string>()>;

using WordCounts = std::vector<std::pair<std::string, int64_t>>;

inline constexpr size_t kLongestCountedWord = 10'000;  // code points

// In the order of the words' bytes, which no number of threads changes. Words longer than kLongestCountedWord are left
// out: they are no words, and one of 1 GB would cost many times its size. `progress` shows the texts done.
WordCounts count_words(const NextText& next, const Normalizer& normalizer, int64_t threads, bool progress);

}  // namespace perceive::data
