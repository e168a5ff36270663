// One's own text without labels, in files.
#pragma once

#include <array>
#include <string>
#include <utility>
#include <vector>

#include "perceive/data/text_module.h"

namespace perceive::data {

enum class Documents { file, line };
constexpr auto enum_names(Documents) {
  return std::array{std::pair{Documents::file, "file"}, std::pair{Documents::line, "line"}};
}

struct TextFileOptions : TextFormatOptions {
  static constexpr const char* kName = "TextFile";
  TextFileOptions() { tokenizer = "bytes"; }
  std::vector<std::string> files;
  Documents documents = Documents::file;
  double val_split = 0.1;
};
template <class Visitor>
void visit(TextFileOptions& o, Visitor&& field) {
  field("files", o.files, "text files, and folders whose .txt files are meant (required)");
  field("documents", o.documents, "what a document is; one of more than max_seq_len tokens is split");
  field("val_split", o.val_split, "part of the pieces held out for validation; 0: none");
  visit(static_cast<TextFormatOptions&>(o), field);
}

// Documents in pieces of max_seq_len tokens and what is left over. There is no test().
class TextFile : public TextDataModule {
 public:
  // Throws core::ConfigError where no files are named.
  explicit TextFile(const TextFileOptions& options);

 protected:
  Labelled read(Part part) const override;

 private:
  TextFileOptions options_;
};

}  // namespace perceive::data
