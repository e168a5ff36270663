// A folder for each class, with a text file for each text.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "perceive/data/text_module.h"

namespace perceive::data {

struct TextFolderOptions : TextFormatOptions {
  static constexpr const char* kName = "TextFolder";
  std::string data_dir = ".";
  std::optional<std::vector<std::string>> classes;
  double val_split = 0.1;
};
template <class Visitor>
void visit(TextFolderOptions& o, Visitor&& field) {
  field("data_dir", o.data_dir,
        "folder of class folders of .txt files; or of train, and if there are, validation and test, with such in each");
  field("classes", o.classes, "class folders, in the order of their labels; default: those of training, by name");
  field("val_split", o.val_split, "part of the training texts held out, where there is no validation folder; 0: none");
  visit(static_cast<TextFormatOptions&>(o), field);
}
// With the classes that the folders have, where none are given. Throws core::DataError where there are none.
TextFolderOptions with_classes(TextFolderOptions options);

// Without data.tokenizer, tokenizer-<vocab_size>.json lies in data_dir. Without a test folder there is no test().
class TextFolder : public TextDataModule {
 public:
  explicit TextFolder(const TextFolderOptions& options);
  std::vector<std::string> class_names() const override { return *options_.classes; }

 protected:
  Labelled read(Part part) const override;

 private:
  TextFolderOptions options_;  // with classes
};

}  // namespace perceive::data
