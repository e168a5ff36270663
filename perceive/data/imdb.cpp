// The Large Movie Review Dataset.
#include "perceive/data/imdb.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <filesystem>

#include "perceive/core/error.h"
#include "perceive/data/archive.h"
#include "perceive/data/file_list.h"

namespace perceive::data {
namespace {

namespace fs = std::filesystem;

const std::vector<std::string> kClasses{"neg", "pos"};
constexpr const char* kFolder = "aclImdb";
constexpr const char* kArchive = "aclImdb_v1.tar.gz";

std::string default_tokenizer(const ImdbDataModuleOptions& options) {
  return (fs::path(options.data_dir) / fmt::format("imdb-tokenizer-{}.json", options.vocab_size)).string();
}

// `split` is train or test.
std::shared_ptr<const Texts> from_archive(const fs::path& archive, const std::string& split,
                                          std::vector<int64_t>& labels) {
  const auto folder_of = [&](size_t label) { return fmt::format("{}/{}/{}/", kFolder, split, kClasses[label]); };
  auto texts = read_archive(archive.string(), [&](const std::string& name) {
    return is_text(name) && (name.starts_with(folder_of(0)) || name.starts_with(folder_of(1)));
  });
  for (const auto& text : texts) labels.push_back(text.name.starts_with(folder_of(1)) ? 1 : 0);
  if (texts.empty()) {
    throw core::DataError(fmt::format("{}: no reviews in {} or {}", archive.string(), folder_of(0), folder_of(1)));
  }
  return std::make_shared<TextsInMemory>(std::move(texts));
}

}  // namespace

ImdbDataModule::ImdbDataModule(const ImdbDataModuleOptions& options)
    : TextDataModule(options, {.default_tokenizer = default_tokenizer(options),
                               .normalizer = {.replacements = {{"<br />", " "}}}}),
      data_dir_(options.data_dir) {}

TextDataModule::Labelled ImdbDataModule::read(Part part) const {
  const std::string split = part == Part::train ? "train" : "test";
  const std::vector<fs::path> places{fs::path(data_dir_) / "IMDB", data_dir_};
  std::error_code error;
  for (const auto& place : places) {
    const auto folder = place / kFolder / split;
    if (fs::is_directory(folder, error)) return read_folders(folder, kClasses);
  }
  for (const auto& place : places) {
    if (!fs::exists(place / kArchive, error)) continue;
    Labelled result;
    result.texts = from_archive(place / kArchive, split, result.labels);
    return result;
  }
  std::vector<std::string> looked;
  for (const auto& place : places) looked.push_back(fs::absolute(place).lexically_normal().string());
  throw core::DataError(fmt::format(
      "ImdbDataModule: no {} folder and no {} in {}; download the archive from "
      "https://ai.stanford.edu/~amaas/data/sentiment/ into one of these folders, or name its folder by data_dir",
      kFolder, kArchive, fmt::join(looked, " or ")));
}

}  // namespace perceive::data
