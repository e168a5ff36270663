// A folder for each class, with a text file for each text.
#include "perceive/data/text_folder.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "perceive/core/error.h"

namespace perceive::data {
namespace {

namespace fs = std::filesystem;

std::string default_tokenizer(const TextFolderOptions& options) {
  return (fs::path(options.data_dir) / fmt::format("tokenizer-{}.json", options.vocab_size)).string();
}

fs::path training_folder(const std::string& data_dir) {
  std::error_code error;
  const auto train = fs::path(data_dir) / "train";
  return fs::is_directory(train, error) ? train : fs::path(data_dir);
}

std::vector<std::string> folders_in(const fs::path& parent) {
  std::vector<std::string> names;
  std::error_code error;
  for (auto entry = fs::directory_iterator(parent, error); !error && entry != fs::directory_iterator();
       entry.increment(error)) {
    if (entry->is_directory(error)) names.push_back(entry->path().filename().string());
  }
  if (error) throw core::DataError(fmt::format("{}: cannot be read: {}", parent.string(), error.message()));
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

TextFolderOptions with_classes(TextFolderOptions options) {
  if (options.classes) return options;
  const auto folder = training_folder(options.data_dir);
  options.classes = folders_in(folder);
  if (options.classes->empty()) {
    throw core::DataError(
        fmt::format("TextFolder: expected a folder of .txt files for each class in {}, and there is none",
                    fs::absolute(folder).string()));
  }
  return options;
}

TextFolder::TextFolder(const TextFolderOptions& options)
    : TextDataModule(options, {.default_tokenizer = default_tokenizer(options), .val_split = options.val_split}),
      options_(with_classes(options)) {}

TextDataModule::Labelled TextFolder::read(Part part) const {
  const fs::path parent = part == Part::train        ? training_folder(options_.data_dir)
                          : part == Part::validation ? fs::path(options_.data_dir) / "validation"
                                                     : fs::path(options_.data_dir) / "test";
  std::error_code error;
  if (part != Part::train && !fs::is_directory(parent, error)) return {};
  return read_folders(parent, *options_.classes);
}

}  // namespace perceive::data
