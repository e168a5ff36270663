// One's own text without labels, in files.
#include "perceive/data/text_file.h"

#include "perceive/core/error.h"
#include "perceive/data/file_list.h"

namespace perceive::data {

TextFile::TextFile(const TextFileOptions& options)
    : TextDataModule(options, {.default_tokenizer = "bytes", .val_split = options.val_split, .split = true}),
      options_(options) {
  if (options_.files.empty()) {
    throw core::ConfigError(
        "files: none are named; give text files or folders, for instance --data.files='[notes.txt]'");
  }
}

TextDataModule::Labelled TextFile::read(Part part) const {
  if (part != Part::train) return {};
  auto list = list_texts(options_.files);
  if (options_.documents == Documents::line) return {std::make_shared<TextLines>(list.files), {}};
  return {std::make_shared<TextFiles>(std::move(list.files)), {}};
}

}  // namespace perceive::data
