// Texts in files, lines and memory.
#include "perceive/data/text/texts.h"

#include <fmt/format.h>

#include "perceive/core/memory.h"
#include "perceive/data/file.h"

namespace perceive::data {
namespace {

// A file whose size is a mistake (a sparse one, a disk's image) must not take all memory.
std::string read_all(const std::string& path) {
  return read_text(path, static_cast<uint64_t>(core::physical_memory() / 2));
}

bool is_blank(std::string_view line) {
  return line.find_first_not_of(" \t\r\v\f") == std::string_view::npos;
}

}  // namespace

std::string TextFiles::text(int64_t index) const {
  return read_all(files_.at(static_cast<size_t>(index)));
}

TextLines::TextLines(const std::vector<std::string>& files) {
  for (const auto& file : files) add(file, read_all(file));
}

TextLines::TextLines(std::string name, std::string content) {
  add(std::move(name), std::move(content));
}

void TextLines::add(std::string name, std::string content) {
  const std::string_view whole = content;
  int64_t number = 1;
  for (size_t begin = 0; begin < whole.size(); ++number) {
    const size_t end = std::min(whole.find('\n', begin), whole.size());
    size_t length = end - begin;
    if (length > 0 && whole[end - 1] == '\r') --length;
    if (!is_blank(whole.substr(begin, length))) lines_.push_back({contents_.size(), begin, length, number});
    begin = end + 1;
  }
  names_.push_back(std::move(name));
  contents_.push_back(std::move(content));
}

std::string TextLines::text(int64_t index) const {
  const Line& line = lines_.at(static_cast<size_t>(index));
  return contents_[line.file].substr(line.begin, line.length);
}

std::string TextLines::name(int64_t index) const {
  const Line& line = lines_.at(static_cast<size_t>(index));
  return fmt::format("{}:{}", names_[line.file], line.number);
}

NextText each_of(const Texts& texts) {
  return [&texts, index = int64_t{0}]() mutable -> std::optional<std::string> {
    if (index == texts.size()) return std::nullopt;
    return texts.text(index++);
  };
}

}  // namespace perceive::data
