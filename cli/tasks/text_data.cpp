// The texts that a user gives to predict.
#include "cli/tasks/text_data.h"

#include <iostream>
#include <iterator>

#include "perceive/core/error.h"
#include "perceive/data/file_list.h"

namespace perceive::cli {

std::vector<data::NamedText> texts_of(const std::vector<std::string>& inputs) {
  std::vector<data::NamedText> all;
  for (const auto& input : inputs) {
    if (input == "-") {
      const data::TextLines lines("standard input", {std::istreambuf_iterator<char>(std::cin), {}});
      for (int64_t i = 0; i < lines.size(); ++i) all.push_back({lines.text(i), lines.text(i)});
      continue;
    }
    const data::TextFiles files(data::list_texts({input}).files);
    for (int64_t i = 0; i < files.size(); ++i) all.push_back({files.name(i), files.text(i)});
  }
  if (all.empty()) throw core::DataError("there is no text to predict: standard input has no line that is not blank");
  return all;
}

}  // namespace perceive::cli
