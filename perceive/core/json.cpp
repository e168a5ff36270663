// JSON from files nobody vouches for, over nlohmann's SAX interface.
#include "perceive/core/json.h"

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "perceive/core/error.h"
#include "perceive/core/text.h"

namespace perceive::core {
namespace {

using nlohmann::json;

constexpr size_t kLongestReason = 160;

// Reads a text and leaves in `reached` how far the parser has come, which its events do not say.
struct CountingIterator {
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  const char* at;
  const char** reached;

  reference operator*() const { return *at; }
  CountingIterator& operator++() {
    *reached = ++at;
    return *this;
  }
  bool operator==(const CountingIterator& other) const { return at == other.at; }
};

// Builds the document while it is parsed, so that no limit is ever exceeded by more than one value.
class Builder {
 public:
  Builder(std::string_view text, const std::string& source, const JsonLimits& limits)
      : reached_(text.data()), begin_(text.data()), source_(source), limits_(limits) {}

  const char** reached() { return &reached_; }
  json take() { return std::move(root_); }

  bool null() { return add(nullptr); }
  bool boolean(bool value) { return add(value); }
  bool number_integer(int64_t value) { return add(value); }
  bool number_unsigned(uint64_t value) { return add(value); }
  bool number_float(double value, const std::string& text) {
    // nlohmann hands over an integer that fits neither int64 nor uint64 as a rounded float.
    if (text.find_first_of(".eE") == std::string::npos)
      fail("the integer " + in_quotes(text) + " has more than 64 bits");
    return add(value);
  }
  bool string(std::string& value) { return add(std::move(value)); }
  bool binary(json::binary_t&) { fail("binary values are not JSON"); }
  bool start_object(size_t) { return start(json::object()); }
  bool start_array(size_t) { return start(json::array()); }
  bool end_object() { return end(); }
  bool end_array() { return end(); }
  bool key(std::string& name) {
    if (open_.back()->contains(name)) fail("the key " + in_quotes(name) + " stands twice in one object");
    key_ = std::move(name);
    return true;
  }
  bool parse_error(size_t, const std::string&, const json::exception& error) {
    // "[json.exception.parse_error.101] parse error at line 1, column 2: reason", where the reason may quote the input.
    std::string reason = error.what();
    reason.erase(0, reason.find("] ") + 2);
    if (reason.size() > kLongestReason) {
      reason.resize(kLongestReason);
      reason.resize(std::min(first_invalid_utf8(reason), reason.size()));
      reason += "…";
    }
    fail("this is not JSON: " + reason);
  }

 private:
  [[noreturn]] void fail(const std::string& message) const {
    throw FileError(source_ + ": byte " + std::to_string(reached_ - begin_) + ": " + message);
  }

  json* place(json value) {
    if (++values_ > limits_.values) fail("more than " + std::to_string(limits_.values) + " values");
    if (open_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    json& parent = *open_.back();
    if (parent.is_object()) return &(parent[key_] = std::move(value));
    parent.push_back(std::move(value));
    return &parent.back();
  }
  bool add(json value) {
    place(std::move(value));
    return true;
  }
  bool start(json value) {
    if (open_.size() >= limits_.depth) fail("nested deeper than " + std::to_string(limits_.depth) + " levels");
    open_.push_back(place(std::move(value)));
    return true;
  }
  bool end() {
    open_.pop_back();
    return true;
  }

  const char* reached_;
  const char* begin_;
  const std::string& source_;
  JsonLimits limits_;
  json root_;
  std::vector<json*> open_;  // the objects and arrays whose end has not come yet; a parent grows only at its back
  std::string key_;
  size_t values_ = 0;
};

}  // namespace

json parse_json(std::string_view text, const std::string& source, const JsonLimits& limits) {
  if (text.size() > limits.bytes) {
    throw FileError(source + ": " + std::to_string(text.size()) + " bytes of JSON; the limit is " +
                    std::to_string(limits.bytes));
  }
  // nlohmann's lexer takes a zero byte for the end of the text, and would accept whatever follows.
  if (const auto zero = text.find('\0'); zero != std::string_view::npos) {
    throw FileError(source + ": byte " + std::to_string(zero) + ": a zero byte in JSON");
  }
  Builder builder(text, source, limits);
  const char** reached = builder.reached();
  json::sax_parse(CountingIterator{text.data(), reached}, CountingIterator{text.data() + text.size(), reached},
                  &builder);
  return builder.take();
}

}  // namespace perceive::core
