// A data set of texts, as tasks on text ask for it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "perceive/data/module.h"
#include "perceive/data/text/normalizer.h"
#include "perceive/data/text/texts.h"
#include "perceive/data/text/tokenizer.h"

namespace perceive::data {

struct TextFormatOptions {
  std::optional<std::string> tokenizer;
  int64_t vocab_size = 10003;
  int64_t max_seq_len = 512;
  int64_t batch_size = 64;
  int64_t num_workers = 3;
  int64_t seed = 42;
  bool pin_memory = false;
};
template <class Visitor>
void visit(TextFormatOptions& o, Visitor&& field) {
  field("tokenizer", o.tokenizer,
        "bytes, or a tokenizer.json; where there is none yet, a WordPiece tokenizer is trained and written there");
  field("vocab_size", o.vocab_size, "tokens of a tokenizer.json; those of one that is trained, or its own and more");
  field("max_seq_len", o.max_seq_len, "tokens of the longest text");
  field("batch_size", o.batch_size, "texts in a batch");
  field("num_workers", o.num_workers, "threads that prepare batches ahead; 0: none");
  field("seed", o.seed, "of the order of training texts, and of those held out");
  field("pin_memory", o.pin_memory, "accepted for the sake of existing configurations; without effect on a CPU");
}

// Batches as TokenDataset makes them. Texts are read, and the tokenizer is read or trained, when they are first asked
// for; then core::DataError is thrown where they are missing or wrong. Tokens stay in memory.
class TextDataModule : public DataModule {
 public:
  ~TextDataModule() override;

  std::unique_ptr<Loader> train() const override;
  std::unique_ptr<Loader> validation() const override;
  std::unique_ptr<Loader> test() const override;
  std::unique_ptr<Loader> predict() const override;  // the test texts
  std::string fingerprint() const override;          // of the training texts

  // Without a look at any file. 262 for bytes.
  int64_t vocab_size() const;
  int64_t max_seq_len() const;
  // Labels are places in it; empty for texts without labels.
  virtual std::vector<std::string> class_names() const { return {}; }
  std::shared_ptr<const Tokenizer> tokenizer() const;
  // Other texts in batches such as these, for predict.
  std::unique_ptr<Loader> loader_of(const Texts& texts) const;
  // Of the texts that were encoded whole; 0 where there is none.
  double bytes_per_token() const;

 protected:
  enum class Part { train, validation, test };
  struct Labelled {
    std::shared_ptr<const Texts> texts;  // null: there is no such part
    std::vector<int64_t> labels;         // one a text, or none at all
  };
  struct Manner {
    std::string default_tokenizer;      // where the options name none
    NormalizerOptions normalizer = {};  // of a tokenizer that is trained
    double val_split = 0;               // part of the training examples, where there is no validation part
    bool split = false;                 // long texts are split instead of cut
  };
  // Throws core::ConfigError.
  TextDataModule(const TextFormatOptions& options, Manner manner);
  virtual Labelled read(Part part) const = 0;
  // The text files of each of these folders in `parent`; its place is their label. Throws core::DataError for a folder
  // without any.
  static Labelled read_folders(const std::filesystem::path& parent, const std::vector<std::string>& folders);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace perceive::data
