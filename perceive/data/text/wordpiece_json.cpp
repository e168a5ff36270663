// tokenizer.json, the file format of Hugging Face's `tokenizers`, for the components that WordPieceTokenizer has.
#include "perceive/data/text/wordpiece_json.h"

#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "perceive/core/error.h"
#include "perceive/core/json.h"
#include "perceive/core/text.h"
#include "perceive/data/file.h"

namespace perceive::data {
namespace {

using nlohmann::json;

constexpr const char* kVersion = "1.0";
constexpr const char* kNormalizers = "Sequence, Replace, NFD, Lowercase, StripAccents";

std::string type_name(const json& value) {
  return value.is_string() ? core::in_quotes(value.get_ref<const std::string&>()) : std::string(value.type_name());
}

// An object of the file, and how its path is written in messages.
class Part {
 public:
  Part(const json& value, std::string path, const std::string& source)
      : value_(value), path_(std::move(path)), source_(source) {
    if (!value.is_object()) refuse(fmt::format("expected an object, got {}", type_name(value)));
  }

  [[noreturn]] void refuse(const std::string& message) const {
    throw core::FileError(fmt::format("{}: {}: {}", source_, path_, message));
  }
  // That no other keys are there: they might mean what we would not do.
  void allow(const std::vector<std::string>& keys) const {
    for (const auto& [key, value] : value_.items()) {
      if (std::find(keys.begin(), keys.end(), key) == keys.end()) {
        refuse(fmt::format("unknown key {}; supported: {}", core::in_quotes(key), core::join(keys)));
      }
    }
  }
  const json& at(const char* key) const {
    const auto found = value_.find(key);
    if (found == value_.end()) refuse(fmt::format("there is no '{}'", key));
    return *found;
  }
  Part part(const char* key) const { return {at(key), fmt::format("{}.{}", path_, key), source_}; }
  std::string text(const char* key) const {
    const json& value = at(key);
    if (!value.is_string()) refuse(fmt::format("{}: expected a text, got {}", key, type_name(value)));
    return value.get<std::string>();
  }
  bool boolean(const char* key) const {
    const json& value = at(key);
    if (!value.is_boolean()) refuse(fmt::format("{}: expected true or false, got {}", key, type_name(value)));
    return value.get<bool>();
  }
  int64_t number(const char* key) const {
    const json& value = at(key);
    if (!value.is_number_integer() || (value.is_number_unsigned() && value.get<uint64_t>() > INT64_MAX)) {
      refuse(fmt::format("{}: expected an integer, got {}", key, value.dump()));
    }
    return value.get<int64_t>();
  }
  std::vector<Part> list(const char* key) const {
    const json& values = at(key);
    if (!values.is_array()) refuse(fmt::format("{}: expected a list, got {}", key, type_name(values)));
    std::vector<Part> parts;
    for (size_t i = 0; i < values.size(); ++i) {
      parts.emplace_back(values[i], fmt::format("{}.{}[{}]", path_, key, i), source_);
    }
    return parts;
  }
  // The component must be of that type.
  void expect_type(const char* supported) const {
    const json& type = at("type");
    if (type != supported) refuse(fmt::format("{} is not supported; supported: {}", type_name(type), supported));
  }
  void expect_null(const char* key, const char* why) const {
    const auto found = value_.find(key);
    if (found != value_.end() && !found->is_null()) refuse(fmt::format("'{}' is not supported: {}", key, why));
  }
  void expect_false(const char* key) const {
    if (boolean(key)) refuse(fmt::format("'{}' is not supported, expected false", key));
  }
  const json& value() const { return value_; }

 private:
  const json& value_;
  std::string path_;
  const std::string& source_;
};

void read_normalizer(const Part& part, NormalizerOptions& options) {
  const std::string type = part.text("type");
  if (type == "Sequence") {
    part.allow({"type", "normalizers"});
    for (const Part& inner : part.list("normalizers")) {
      if (inner.text("type") == "Sequence") inner.refuse("a 'Sequence' in a 'Sequence' is not supported");
      read_normalizer(inner, options);
    }
  } else if (type == "Replace") {
    part.allow({"type", "pattern", "content"});
    const Part pattern = part.part("pattern");
    pattern.allow({"String"});
    if (!options.steps.empty()) part.refuse("'Replace' behind NFD, Lowercase or StripAccents is not supported");
    options.replacements.push_back({pattern.text("String"), part.text("content")});
  } else {
    part.allow({"type"});
    if (type == "NFD") {
      options.steps.push_back(NormalizerStep::nfd);
    } else if (type == "Lowercase") {
      options.steps.push_back(NormalizerStep::lowercase);
    } else if (type == "StripAccents") {
      options.steps.push_back(NormalizerStep::strip_accents);
    } else {
      part.refuse(fmt::format("{} is not supported; supported: {}", core::in_quotes(type), kNormalizers));
    }
  }
}

nlohmann::ordered_json normalizer_json(const NormalizerOptions& options) {
  auto list = nlohmann::ordered_json::array();
  for (const auto& [pattern, content] : options.replacements) {
    list.push_back({{"type", "Replace"}, {"pattern", {{"String", pattern}}}, {"content", content}});
  }
  for (const NormalizerStep step : options.steps) {
    const char* type = step == NormalizerStep::nfd         ? "NFD"
                       : step == NormalizerStep::lowercase ? "Lowercase"
                                                           : "StripAccents";
    list.push_back({{"type", type}});
  }
  if (list.empty()) return nullptr;
  return {{"type", "Sequence"}, {"normalizers", list}};
}

std::vector<std::string> read_vocabulary(const Part& part) {
  const json& entries = part.value();
  std::vector<std::string> vocabulary(entries.size());
  for (const auto& [token, value] : entries.items()) {
    const bool fits = value.is_number_unsigned() && value.get<uint64_t>() < entries.size();
    if (!fits) {
      part.refuse(fmt::format("{} has the id {}; {} tokens have the ids 0 to {}, without a gap", core::in_quotes(token),
                              value.dump(), entries.size(), entries.size() - 1));
    }
    std::string& place = vocabulary[value.get<size_t>()];
    if (!place.empty()) {
      part.refuse(fmt::format("the id {} belongs to {} and to {}", value.dump(), core::in_quotes(place),
                              core::in_quotes(token)));
    }
    if (token.empty()) part.refuse("a token is empty");
    place = token;
  }
  return vocabulary;
}

std::vector<std::string> read_added_tokens(const Part& file, const json& vocabulary) {
  std::vector<std::string> names;
  for (const Part& token : file.list("added_tokens")) {
    token.allow({"id", "content", "single_word", "lstrip", "rstrip", "normalized", "special"});
    for (const char* key : {"single_word", "lstrip", "rstrip", "normalized"}) token.expect_false(key);
    if (!token.boolean("special")) token.refuse("only special tokens are supported, expected 'special' to be true");
    const std::string name = token.text("content");
    const auto known = vocabulary.find(name);
    if (known == vocabulary.end()) {
      token.refuse(fmt::format("{} is not in model.vocab, where it must be", core::in_quotes(name)));
    }
    if (*known != token.number("id")) {
      token.refuse(fmt::format("{} has the id {}, and {} in model.vocab", core::in_quotes(name), token.number("id"),
                               known->dump()));
    }
    names.push_back(name);
  }
  return names;
}

std::unique_ptr<WordPieceTokenizer> read_file(const Part& file) {
  file.allow({"version", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer", "post_processor",
              "decoder", "model"});
  if (file.text("version") != kVersion) {
    file.refuse(fmt::format("version {} is not supported; supported: {}", type_name(file.at("version")), kVersion));
  }
  file.expect_null("truncation", "the length is given where texts are encoded; expected null");
  file.expect_null("padding", "batches are padded where they are made; expected null");
  file.expect_null("post_processor", "nothing is added to a text's tokens; expected null");

  WordPieceOptions options;
  options.normalizer.steps.clear();
  if (!file.at("normalizer").is_null()) read_normalizer(file.part("normalizer"), options.normalizer);
  const Part splitter = file.part("pre_tokenizer");
  splitter.expect_type("Whitespace");
  splitter.allow({"type"});

  const Part model = file.part("model");
  model.expect_type("WordPiece");
  model.allow({"type", "unk_token", "continuing_subword_prefix", "max_input_chars_per_word", "vocab"});
  options.unknown = model.text("unk_token");
  options.prefix = model.text("continuing_subword_prefix");
  options.longest_word = model.number("max_input_chars_per_word");

  const Part decoder = file.part("decoder");
  decoder.expect_type("WordPiece");
  decoder.allow({"type", "prefix", "cleanup"});
  if (decoder.text("prefix") != options.prefix) decoder.refuse("'prefix' differs from the model's");
  options.cleanup = decoder.boolean("cleanup");

  const Part vocabulary = model.part("vocab");
  return std::make_unique<WordPieceTokenizer>(read_vocabulary(vocabulary), read_added_tokens(file, vocabulary.value()),
                                              std::move(options));
}

}  // namespace

std::unique_ptr<WordPieceTokenizer> parse_wordpiece(std::string_view text, const std::string& source) {
  const json document = core::parse_json(text, source);
  try {
    return read_file(Part(document, "tokenizer", source));
  } catch (const core::ConfigError& error) {
    throw core::FileError(source + ": " + error.what());
  }
}

std::unique_ptr<WordPieceTokenizer> read_wordpiece(const std::string& path) {
  return parse_wordpiece(read_text(path, core::JsonLimits{}.bytes), path);
}

std::string wordpiece_json(const WordPieceTokenizer& tokenizer) {
  const WordPieceOptions& options = tokenizer.options();
  using Ordered = nlohmann::ordered_json;
  Ordered added = Ordered::array();
  for (const auto& [name, id] : tokenizer.special_tokens().tokens()) {
    added.push_back({{"id", id},
                     {"content", name},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", true}});
  }
  // An ordered object looks for each key among all before it: the entries are put in as a list.
  Ordered::object_t vocabulary;
  for (size_t i = 0; i < tokenizer.vocabulary().size(); ++i) {
    static_cast<std::vector<std::pair<const std::string, Ordered>>&>(vocabulary)
        .emplace_back(tokenizer.vocabulary()[i], i);
  }
  const Ordered file{{"version", kVersion},
                     {"truncation", nullptr},
                     {"padding", nullptr},
                     {"added_tokens", added},
                     {"normalizer", normalizer_json(options.normalizer)},
                     {"pre_tokenizer", {{"type", "Whitespace"}}},
                     {"post_processor", nullptr},
                     {"decoder", {{"type", "WordPiece"}, {"prefix", options.prefix}, {"cleanup", options.cleanup}}},
                     {"model",
                      {{"type", "WordPiece"},
                       {"unk_token", options.unknown},
                       {"continuing_subword_prefix", options.prefix},
                       {"max_input_chars_per_word", options.longest_word},
                       {"vocab", vocabulary}}}};
  return file.dump(2) + "\n";
}

}  // namespace perceive::data
