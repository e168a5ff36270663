// What tokenizers_check.py asks of our side. Lists of texts and of ids are files: for each, a count as int64, then that
// many bytes or int64.
//
//     tokenize encode TOKENIZER TEXTS IDS      TOKENIZER is a tokenizer.json, or "bytes"
//     tokenize decode TOKENIZER IDS TEXTS
//     tokenize rewrite TOKENIZER NEW
//     tokenize train TEXTS SPECIAL_TOKENS VOCAB_SIZE THREADS NEW
//     tokenize normalize TEXTS TEXTS
//     tokenize words TEXTS TEXTS               a list of words for each text, with a line feed behind each word
#include <chrono>
#include <cstdio>
#include <exception>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

#include "perceive/data/text/byte_tokenizer.h"
#include "perceive/data/text/wordpiece_json.h"
#include "perceive/data/text/wordpiece_training.h"
#include "perceive/data/text/words.h"

namespace perceive::data {
namespace {

using Ids = std::vector<int64_t>;

template <class Row>
std::vector<Row> read_rows(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::vector<Row> rows;
  for (int64_t count; file.read(reinterpret_cast<char*>(&count), sizeof count);) {
    Row row(static_cast<size_t>(count), 0);
    file.read(reinterpret_cast<char*>(row.data()), static_cast<std::streamsize>(row.size() * sizeof row[0]));
    rows.push_back(std::move(row));
  }
  return rows;
}

template <class Row>
void write_rows(const std::string& path, const std::vector<Row>& rows) {
  std::ofstream file(path, std::ios::binary);
  for (const Row& row : rows) {
    const auto count = static_cast<int64_t>(row.size());
    file.write(reinterpret_cast<const char*>(&count), sizeof count);
    file.write(reinterpret_cast<const char*>(row.data()), static_cast<std::streamsize>(row.size() * sizeof row[0]));
  }
}

std::unique_ptr<Tokenizer> tokenizer(const std::string& name) {
  if (name == "bytes") return std::make_unique<ByteTokenizer>();
  return read_wordpiece(name);
}

template <class To, class From, class Convert>
void convert(const std::string& from, const std::string& to, Convert&& one) {
  const auto rows = read_rows<From>(from);
  const auto start = std::chrono::steady_clock::now();
  std::vector<To> results;
  for (const From& row : rows) results.push_back(one(row));
  std::printf("%.3f\n", std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  write_rows(to, results);
}

std::string words_of(const std::string& text) {
  std::string words;
  WordSplitter splitter(text.size());
  const auto give = [&](const Word& word) { words.append(word.text) += '\n'; };
  Normalizer({.steps = {}}).run(text, [&](std::u32string_view piece) {
    splitter.feed(piece, give);
    return true;
  });
  splitter.finish(give);
  return words;
}

void train(const std::vector<std::string>& arguments) {
  const auto texts = read_rows<std::string>(arguments.at(1));
  WordPieceTrainingOptions options{.vocab_size = std::stoll(arguments.at(3)),
                                   .special_tokens = read_rows<std::string>(arguments.at(2)),
                                   .threads = std::stoll(arguments.at(4)),
                                   .progress = false};
  const auto start = std::chrono::steady_clock::now();
  size_t done = 0;
  const auto next = [&] { return done < texts.size() ? std::optional(texts[done++]) : std::nullopt; };
  const auto trained = train_wordpiece(next, options);
  std::printf("%.3f\n", std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  std::ofstream(arguments.at(5), std::ios::binary) << wordpiece_json(*trained);
}

void run(const std::vector<std::string>& arguments) {
  const std::string& what = arguments.at(0);
  if (what == "encode") {
    const auto with = tokenizer(arguments.at(1));
    convert<Ids, std::string>(arguments.at(2), arguments.at(3), [&](const auto& text) { return with->encode(text); });
  } else if (what == "decode") {
    const auto with = tokenizer(arguments.at(1));
    convert<std::string, Ids>(arguments.at(2), arguments.at(3), [&](const auto& ids) { return with->decode(ids); });
  } else if (what == "rewrite") {
    std::ofstream(arguments.at(2), std::ios::binary) << wordpiece_json(*read_wordpiece(arguments.at(1)));
  } else if (what == "train") {
    train(arguments);
  } else if (what == "normalize") {
    convert<std::string, std::string>(arguments.at(1), arguments.at(2), Normalizer());
  } else if (what == "words") {
    convert<std::string, std::string>(arguments.at(1), arguments.at(2), words_of);
  } else {
    throw std::invalid_argument("unknown: " + what);
  }
}

}  // namespace
}  // namespace perceive::data

int main(int count, char** arguments) {
  try {
    perceive::data::run({arguments + 1, arguments + count});
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
