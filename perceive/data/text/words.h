// Text cut into words: runs of word characters, and runs of what is neither word character nor white space.
#pragma once

#include <string>
#include <string_view>

#include "perceive/data/text/unicode.h"

namespace perceive::data {

struct Word {
  std::string_view text;  // valid until the next word; cut off behind the longest that is wanted
  size_t characters;      // code points, of the whole word
};

// Takes a text in pieces, whose borders make no difference, and gives its words: the matches of \w+|[^\w\s]+.
class WordSplitter {
 public:
  explicit WordSplitter(size_t longest) : longest_(longest) {}  // in code points

  // `give` is called with a Word.
  template <class Give>
  void feed(std::u32string_view piece, Give&& give) {
    for (const char32_t point : piece) {
      const CharacterKind kind = kind_of(point);
      if (kind != kind_) finish(give);
      kind_ = kind;
      if (kind == CharacterKind::space || ++characters_ > longest_) continue;
      if (point < 0x80) {
        word_ += static_cast<char>(point);
      } else {
        append_utf8(word_, point);
      }
    }
  }
  template <class Give>
  void finish(Give&& give) {
    if (characters_ > 0) give(Word{word_, characters_});
    word_.clear();
    characters_ = 0;
  }

 private:
  size_t longest_;
  CharacterKind kind_ = CharacterKind::space;
  std::string word_;
  size_t characters_ = 0;
};

}  // namespace perceive::data
