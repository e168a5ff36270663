// tokenizer.json, the file format of Hugging Face's `tokenizers`, for the components that WordPieceTokenizer has.
//
// Those are: model WordPiece; normalizers Replace (of a string, before the others), NFD, Lowercase, StripAccents, in a
// Sequence or alone; pre-tokenizer Whitespace; decoder WordPiece; no post-processor, truncation or padding; added
// tokens that are special, matched literally, and in the vocabulary, whose ids are 0, 1, 2, … without a gap.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "perceive/data/text/wordpiece.h"

namespace perceive::data {

// `source` is where the text is from, for messages. Throws core::FileError for what is no such file; a component that
// is not among those above is named, with what there is.
std::unique_ptr<WordPieceTokenizer> parse_wordpiece(std::string_view text, const std::string& source);
// Throws core::DataError too, where the file cannot be read.
std::unique_ptr<WordPieceTokenizer> read_wordpiece(const std::string& path);

// What such a file holds; `tokenizers` reads it as well.
std::string wordpiece_json(const WordPieceTokenizer& tokenizer);

}  // namespace perceive::data
