// The Large Movie Review Dataset (A. Maas et al., "Learning word vectors for sentiment analysis", ACL 2011): 50,000
// reviews from IMDb, half of them to train on, each positive or negative.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "perceive/data/text_module.h"

namespace perceive::data {

struct ImdbDataModuleOptions : TextFormatOptions {
  static constexpr const char* kName = "ImdbDataModule";
  static constexpr std::array kAliases{"Imdb"};
  std::string data_dir = ".cache";
};
template <class Visitor>
void visit(ImdbDataModuleOptions& o, Visitor&& field) {
  field("data_dir", o.data_dir,
        "folder with aclImdb or aclImdb_v1.tar.gz in it or in its IMDB; without data.tokenizer, "
        "imdb-tokenizer-<vocab_size>.json lies there too");
  visit(static_cast<TextFormatOptions&>(o), field);
}

// As perceiver-io 0.2.1 has it: negative is 0, positive is 1; validated on the test reviews. Unlike there, files come
// in the order of their names, and test() and predict() have the test reviews as well.
class ImdbDataModule : public TextDataModule {
 public:
  explicit ImdbDataModule(const ImdbDataModuleOptions& options);
  std::vector<std::string> class_names() const override { return {"negative", "positive"}; }

 protected:
  Labelled read(Part part) const override;

 private:
  std::string data_dir_;
};

}  // namespace perceive::data
