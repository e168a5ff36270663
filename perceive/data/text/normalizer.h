// What is done to text before it is cut into words.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace perceive::data {

enum class NormalizerStep { nfd, lowercase, strip_accents };

struct Replacement {
  std::string pattern;  // as it stands, not a regular expression
  std::string content;
  bool operator==(const Replacement&) const = default;
};

// Replacements one after the other, then the steps one after the other. The default is what perceiver-io 0.2.1 gives
// every tokenizer; that of IMDb adds {{"<br />", " "}}.
struct NormalizerOptions {
  std::vector<Replacement> replacements = {};
  std::vector<NormalizerStep> steps = {NormalizerStep::nfd, NormalizerStep::lowercase, NormalizerStep::strip_accents};
  bool operator==(const NormalizerOptions&) const = default;
};
// Throws core::ConfigError for an empty pattern, for one that is not UTF-8, and for one of over 1000 bytes.
void check(const NormalizerOptions& options);

// Normal form D; the lower case of each character by itself (no final sigma); removal of all marks. What is not UTF-8
// becomes U+FFFD. Every other character is kept: NUL, a byte order mark, carriage returns.
class Normalizer {
 public:
  explicit Normalizer(NormalizerOptions options = {});
  const NormalizerOptions& options() const { return options_; }

  // Hands over the normalized text in pieces of some 64 KB, so that a line of 1 GB needs little memory (and one copy
  // where there is something to replace). A piece is read before the next is made; false ends the text early.
  using Take = std::function<bool(std::u32string_view piece)>;
  void run(std::string_view text, const Take& take) const;
  std::string operator()(std::string_view text) const;

 private:
  NormalizerOptions options_;
};

}  // namespace perceive::data
