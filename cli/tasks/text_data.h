// The texts of the tasks on text: data sets to train on, and what a user gives to predict.
#pragma once

#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "perceive/data/imdb.h"
#include "perceive/data/text_file.h"
#include "perceive/data/text_folder.h"

namespace perceive::cli {

using TextOptions = std::variant<data::ImdbDataModuleOptions, data::TextFolderOptions, data::TextFileOptions>;
using LabelledTextOptions = std::variant<data::ImdbDataModuleOptions, data::TextFolderOptions>;

inline std::unique_ptr<data::TextDataModule> make_data(const data::ImdbDataModuleOptions& options) {
  return std::make_unique<data::ImdbDataModule>(options);
}
inline std::unique_ptr<data::TextDataModule> make_data(const data::TextFolderOptions& options) {
  return std::make_unique<data::TextFolder>(options);
}
inline std::unique_ptr<data::TextDataModule> make_data(const data::TextFileOptions& options) {
  return std::make_unique<data::TextFile>(options);
}

// A checkpoint's configuration is to name the classes, so that predict needs no folders.
template <class Options>
void keep_classes(Options& options) {
  if (auto* folder = std::get_if<data::TextFolderOptions>(&options)) *folder = data::with_classes(*folder);
}

// Each file named, each .txt file of the folders named, and for "-" each line of standard input; a line's name is its
// text. Throws core::DataError where there is nothing.
std::vector<data::NamedText> texts_of(const std::vector<std::string>& inputs);

// Texts to predict, encoded as those of `data`.
class TextInputs : public data::DataModule {
 public:
  TextInputs(const data::TextDataModule& data, std::vector<data::NamedText> texts)
      : data_(data), texts_(std::move(texts)) {}
  std::unique_ptr<data::Loader> predict() const override { return data_.loader_of(texts_); }
  std::string fingerprint() const override { return ""; }
  const data::Texts& texts() const { return texts_; }

 private:
  const data::TextDataModule& data_;
  data::TextsInMemory texts_;
};

}  // namespace perceive::cli
