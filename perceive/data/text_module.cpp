// A data set of texts, as tasks on text ask for it.
#include "perceive/data/text_module.h"

#include <ATen/ops/tensor.h>
#include <fmt/format.h>

#include <cmath>
#include <filesystem>
#include <map>
#include <mutex>

#include "perceive/core/error.h"
#include "perceive/core/log.h"
#include "perceive/data/file_list.h"
#include "perceive/data/split.h"
#include "perceive/data/text/byte_tokenizer.h"
#include "perceive/data/text/wordpiece_json.h"
#include "perceive/data/text/wordpiece_training.h"
#include "perceive/data/token_dataset.h"
#include "perceive/io/files.h"

namespace perceive::data {
namespace {

constexpr const char* kBytes = "bytes";

void check(const TextFormatOptions& o, double val_split) {
  check(LoaderOptions{.batch_size = o.batch_size, .num_workers = o.num_workers});
  const auto at_least_one = [](const char* name, int64_t value) {
    if (value < 1) throw core::ConfigError(fmt::format("{}: expected 1 or more, got {}", name, value));
  };
  at_least_one("vocab_size", o.vocab_size);
  at_least_one("max_seq_len", o.max_seq_len);
  if (!(val_split >= 0 && val_split < 1)) {
    throw core::ConfigError(fmt::format("val_split: expected a part of at least 0 and below 1, got {}", val_split));
  }
}

std::shared_ptr<const Tokens> encoded_texts(const Texts& texts, const Tokenizer& by, const EncodeOptions& options) {
  auto tokens = std::make_shared<const Tokens>(encode(texts, by, options));
  if (tokens->cut > 0) {
    core::log_info(fmt::format("{} of {} texts have more than {} tokens and were cut; max_seq_len sets how many",
                               tokens->cut, texts.size(), options.length));
  }
  return tokens;
}

}  // namespace

struct TextDataModule::State {
  TextFormatOptions options;
  Manner manner;
  std::mutex mutex;
  std::shared_ptr<const Tokenizer> tokenizer;
  struct Encoded {
    std::shared_ptr<const Tokens> tokens;  // null: there is no such part
    at::Tensor labels;
  };
  std::map<Part, Encoded> encoded;

  std::string tokenizer_name() const { return options.tokenizer.value_or(manner.default_tokenizer); }

  std::shared_ptr<const Tokenizer> make_tokenizer(const TextDataModule& data) const {
    const std::string file = tokenizer_name();
    if (file == kBytes) return std::make_shared<ByteTokenizer>();
    std::shared_ptr<const WordPieceTokenizer> made;
    std::error_code error;
    if (std::filesystem::exists(file, error)) {
      made = read_wordpiece(file);
    } else {
      const auto texts = data.read(Part::train).texts;
      core::log_info(fmt::format("training a tokenizer of {} tokens on {} texts", options.vocab_size, texts->size()));
      const auto folder = std::filesystem::absolute(file).parent_path();
      std::filesystem::create_directories(folder, error);
      io::check_writable(folder);  // before minutes are spent
      WordPieceTrainingOptions training{.vocab_size = options.vocab_size};
      training.tokenizer.normalizer = manner.normalizer;
      made = train_wordpiece(each_of(*texts), training);
      io::write_file(file, wordpiece_json(*made));
      core::log_info(fmt::format("tokenizer: {}", file));
    }
    if (made->size() > options.vocab_size) {
      throw core::ConfigError(fmt::format("vocab_size: {} has {} tokens, got {}; set vocab_size to {}", file,
                                          made->size(), options.vocab_size, made->size()));
    }
    pad_id(*made);
    return made;
  }

  // The caller holds the mutex.
  const std::shared_ptr<const Tokenizer>& tokenizer_of(const TextDataModule& data) {
    if (!tokenizer) tokenizer = make_tokenizer(data);
    return tokenizer;
  }
  const Encoded& part(const TextDataModule& data, Part part) {
    const auto found = encoded.find(part);
    if (found != encoded.end()) return found->second;
    const auto& by = *tokenizer_of(data);
    Encoded made;  // kept once it is whole
    const auto [texts, labels] = data.read(part);
    if (texts) {
      made.tokens = encoded_texts(*texts, by, {.length = options.max_seq_len, .split = manner.split});
      if (!labels.empty()) made.labels = at::tensor(labels, at::kLong);
    }
    return encoded[part] = std::move(made);
  }

  std::unique_ptr<Loader> loader(std::shared_ptr<const Dataset> dataset, bool training) const {
    const LoaderOptions load{.batch_size = options.batch_size,
                             .shuffle = training,
                             .num_workers = options.num_workers,
                             .seed = static_cast<uint64_t>(options.seed)};
    return std::make_unique<Loader>(std::move(dataset), load);
  }
  std::shared_ptr<const TokenDataset> dataset(const Encoded& of, at::Tensor order = {}) const {
    return std::make_shared<TokenDataset>(of.tokens, pad_id(*tokenizer), of.labels, std::move(order));
  }
  // The training examples and those held out of them.
  Split split(const Encoded& all) const {
    const auto count = static_cast<int64_t>(all.tokens->ends.size());
    if (count == 0) throw core::DataError("the training texts are empty");
    return random_split(count, std::llround(manner.val_split * static_cast<double>(count)), options.seed);
  }
};

TextDataModule::TextDataModule(const TextFormatOptions& options, Manner manner)
    : state_(new State{options, std::move(manner), {}, {}, {}}) {
  check(options, state_->manner.val_split);
}
TextDataModule::~TextDataModule() = default;

std::unique_ptr<Loader> TextDataModule::train() const {
  const std::lock_guard lock(state_->mutex);
  const auto& all = state_->part(*this, Part::train);
  const bool whole = state_->manner.val_split == 0 || state_->part(*this, Part::validation).tokens;
  return state_->loader(state_->dataset(all, whole ? at::Tensor() : state_->split(all).training), true);
}

std::unique_ptr<Loader> TextDataModule::validation() const {
  const std::lock_guard lock(state_->mutex);
  const auto& own = state_->part(*this, Part::validation);
  if (own.tokens) return state_->loader(state_->dataset(own), false);
  const auto& all = state_->part(*this, Part::train);
  const auto held_out = state_->split(all).validation;
  if (held_out.size(0) == 0) return nullptr;
  return state_->loader(state_->dataset(all, held_out), false);
}

std::unique_ptr<Loader> TextDataModule::test() const {
  const std::lock_guard lock(state_->mutex);
  const auto& own = state_->part(*this, Part::test);
  return own.tokens ? state_->loader(state_->dataset(own), false) : nullptr;
}

std::unique_ptr<Loader> TextDataModule::predict() const {
  return test();
}

std::string TextDataModule::fingerprint() const {
  const std::lock_guard lock(state_->mutex);
  const auto& all = state_->part(*this, Part::train);
  return state_->dataset(all)->fingerprint();
}

int64_t TextDataModule::vocab_size() const {
  return state_->tokenizer_name() == kBytes ? ByteTokenizer().size() : state_->options.vocab_size;
}

int64_t TextDataModule::max_seq_len() const {
  return state_->options.max_seq_len;
}

std::shared_ptr<const Tokenizer> TextDataModule::tokenizer() const {
  const std::lock_guard lock(state_->mutex);
  return state_->tokenizer_of(*this);
}

std::unique_ptr<Loader> TextDataModule::loader_of(const Texts& texts) const {
  const auto by = tokenizer();
  State::Encoded given;
  given.tokens = encoded_texts(texts, *by, {.length = state_->options.max_seq_len, .progress = false});
  return state_->loader(state_->dataset(given), false);
}

double TextDataModule::bytes_per_token() const {
  const std::lock_guard lock(state_->mutex);
  const auto& own = state_->part(*this, Part::validation);
  return (own.tokens ? own : state_->part(*this, Part::train)).tokens->bytes_per_token;
}

TextDataModule::Labelled TextDataModule::read_folders(const std::filesystem::path& parent,
                                                      const std::vector<std::string>& folders) {
  Labelled result;
  std::vector<std::string> all;
  for (size_t label = 0; label < folders.size(); ++label) {
    const auto files = list_texts({(parent / folders[label]).string()}).files;
    all.insert(all.end(), files.begin(), files.end());
    result.labels.resize(all.size(), static_cast<int64_t>(label));
  }
  result.texts = std::make_shared<TextFiles>(std::move(all));
  return result;
}

}  // namespace perceive::data
