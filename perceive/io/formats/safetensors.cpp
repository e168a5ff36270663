// Reading and writing the header of safetensors files.
#include "perceive/io/formats/safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>

#include "perceive/core/error.h"

namespace perceive::io::safetensors {
namespace {

using core::FileError;
using nlohmann::json;

static_assert(std::endian::native == std::endian::little, "safetensors are little-endian, and copied as they are");

constexpr uint64_t kMaxSize = std::numeric_limits<int64_t>::max();
constexpr const char* kMetadata = "__metadata__";

// Takes the header event by event, so that nothing is built that the format has no place for.
class HeaderReader : public nlohmann::json_sax<json> {
 public:
  explicit HeaderReader(std::string file) : file_(std::move(file)) {}
  Header take() { return std::move(header_); }

  bool start_object(std::size_t) override {
    if (depth_ == 1) {
      in_metadata_ = name_ == kMetadata;
      if (in_metadata_ && std::exchange(seen_metadata_, true)) fail("comes twice");
      key_.clear();
      dtype_.reset();
      shape_.reset();
      offsets_.reset();
    } else if (depth_ != 0 && !ignoring()) {
      refuse("an object");
    }
    ++depth_;
    return true;
  }
  bool end_object() override {
    if (--depth_ == 1 && !in_metadata_) add_entry();
    return true;
  }
  bool start_array(std::size_t) override {
    if (!ignoring()) {
      if (depth_ != 2 || in_metadata_ || key_ == "dtype") refuse("a list");
      numbers().emplace();
    }
    ++depth_;
    return true;
  }
  bool end_array() override {
    --depth_;
    return true;
  }

  bool key(string_t& name) override {
    if (depth_ == 1) {
      name_ = std::move(name);
      in_metadata_ = false;
    } else if (depth_ == 2) {
      key_ = std::move(name);
      const bool twice =
          (key_ == "dtype" && dtype_) || (key_ == "shape" && shape_) || (key_ == "data_offsets" && offsets_);
      if (twice && !in_metadata_) fail("has " + shown(key_) + " twice");
    }
    return true;
  }
  bool string(string_t& value) override {
    if (ignoring()) return true;
    if (depth_ == 2 && in_metadata_) {
      if (!header_.metadata.emplace(key_, std::move(value)).second) fail("has " + shown(key_) + " twice");
    } else if (depth_ == 2 && key_ == "dtype") {
      const auto found = std::find_if(kDtypes.begin(), kDtypes.end(), [&](const auto& d) { return d.name == value; });
      if (found == kDtypes.end()) fail("has the unknown dtype " + shown(value));
      dtype_ = found->dtype;
    } else {
      refuse("the string " + shown(value));
    }
    return true;
  }
  bool number_unsigned(number_unsigned_t value) override {
    if (ignoring()) return true;
    if (depth_ != 3) refuse(fmt::format("the number {}", value));
    if (value > kMaxSize) fail(fmt::format("has {} in {}; numbers end at 2^63 - 1", value, shown(key_)));
    numbers()->push_back(static_cast<int64_t>(value));
    return true;
  }

  bool number_integer(number_integer_t value) override { return other(fmt::format("the number {}", value)); }
  bool number_float(number_float_t, const string_t& text) override { return other("the number " + text.substr(0, 40)); }
  bool boolean(bool value) override { return other(value ? "true" : "false"); }
  bool null() override { return other("null"); }
  bool binary(binary_t&) override { return other("binary data"); }

  bool parse_error(std::size_t position, const std::string&, const json::exception& error) override {
    const std::string_view what = error.what();
    const bool utf8 = what.find("UTF-8") != std::string_view::npos;
    throw FileError(fmt::format("{}: the header is not valid {}, at byte {} of the file: {}", file_,
                                utf8 ? "UTF-8" : "JSON", kLengthBytes + position - (position > 0),
                                what.substr(0, 300)));
  }

 private:
  // As in the reference, what a later version adds to an entry is passed over.
  bool ignoring() const {
    return depth_ >= 2 && !in_metadata_ && key_ != "dtype" && key_ != "shape" && key_ != "data_offsets";
  }
  std::optional<std::vector<int64_t>>& numbers() { return key_ == "shape" ? shape_ : offsets_; }

  bool other(const std::string& what) {
    if (!ignoring()) refuse(what);
    return true;
  }
  [[noreturn]] void refuse(const std::string& what) const {
    if (depth_ == 0) throw FileError(file_ + ": the header must be a JSON object; found " + what);
    if (depth_ == 1) fail("must be an object; found " + what);
    if (in_metadata_) fail("must hold strings only; found " + what + " under " + shown(key_));
    if (depth_ == 3) fail(shown(key_) + " must hold whole numbers from 0; found " + what);
    fail(shown(key_) + " must be " + (key_ == "dtype" ? "a string" : "a list of numbers") + "; found " + what);
  }
  [[noreturn]] void fail(const std::string& what) const {
    throw FileError(fmt::format("{}: {}{} {}", file_, name_ == kMetadata ? "" : "tensor ", shown(name_), what));
  }

  void add_entry() {
    if (!dtype_) fail("has no \"dtype\"");
    if (!shape_) fail("has no \"shape\"");
    if (!offsets_) fail("has no \"data_offsets\"");
    if (offsets_->size() != 2) fail(fmt::format("\"data_offsets\" must be two numbers; found {}", offsets_->size()));
    const auto begin = static_cast<uint64_t>((*offsets_)[0]), end = static_cast<uint64_t>((*offsets_)[1]);
    header_.entries.push_back({name_, *dtype_, std::move(*shape_), begin, end});
  }

  std::string file_;
  Header header_;
  int64_t depth_ = 0;       // 1 in the header, 2 in an entry, 3 in its lists
  std::string name_, key_;  // of the entry, and in it
  bool in_metadata_ = false, seen_metadata_ = false;
  std::optional<Dtype> dtype_;
  std::optional<std::vector<int64_t>> shape_, offsets_;
};

// Bytes of a tensor of this shape. Axes of length 0 count as 1 against overflow: its strides must be numbers too.
uint64_t checked_bytes(const Entry& entry, const std::string& file) {
  uint64_t elements = 1;
  bool empty = false;
  for (const int64_t size : entry.shape) {
    empty = empty || size == 0;
    if (__builtin_mul_overflow(elements, static_cast<uint64_t>(std::max<int64_t>(size, 1)), &elements) ||
        elements > kMaxSize / 64) {
      throw FileError(fmt::format("{}: tensor {}: the size of its shape, of {} axes, overflows", file,
                                  shown(entry.name), entry.shape.size()));
    }
  }
  const uint64_t bits = empty ? 0 : elements * info(entry.dtype).bits;
  if (bits % 8 != 0) {
    throw FileError(fmt::format("{}: tensor {}: {} elements of {} do not fill whole bytes", file, shown(entry.name),
                                elements, info(entry.dtype).name));
  }
  return bits / 8;
}

void check_names(const Header& header, const std::string& file) {
  std::vector<std::string_view> names;
  names.reserve(header.entries.size());
  for (const auto& entry : header.entries) names.push_back(entry.name);
  std::sort(names.begin(), names.end());
  const auto twice = std::adjacent_find(names.begin(), names.end());
  if (twice != names.end()) throw FileError(fmt::format("{}: tensor {} comes twice", file, shown(*twice)));
}

std::string json_text(const json& value, const std::string& file, std::string_view what) {
  try {
    return value.dump();
  } catch (const json::exception& e) {
    throw FileError(fmt::format("{}: cannot write {}: not valid UTF-8", file, what));
  }
}

}  // namespace

std::string shown(std::string_view name) {
  constexpr size_t kLongest = 80;
  const auto text = [](std::string_view part) {
    return json(std::string(part)).dump(-1, ' ', false, json::error_handler_t::replace);
  };
  if (name.size() <= kLongest) return text(name);
  return fmt::format("{}… ({} bytes)", text(name.substr(0, kLongest)), name.size());
}

uint64_t header_bytes(std::string_view first, uint64_t file_size, const std::string& file) {
  if (first.size() < kLengthBytes) {
    throw FileError(
        fmt::format("{}: not a safetensors file: expected at least {} bytes, found {}", file, kLengthBytes, file_size));
  }
  uint64_t bytes = 0;
  std::copy_n(first.data(), kLengthBytes, reinterpret_cast<char*>(&bytes));
  if (bytes > kMaxHeaderBytes) {
    throw FileError(
        fmt::format("{}: not a safetensors file: its first 8 bytes announce a header of {} bytes; at most {}", file,
                    bytes, kMaxHeaderBytes));
  }
  if (bytes > file_size - kLengthBytes) {
    throw FileError(
        fmt::format("{}: truncated, or not a safetensors file: the header needs {} bytes after the first 8, "
                    "the file has {}",
                    file, bytes, file_size - kLengthBytes));
  }
  return bytes;
}

Header parse_header(std::string_view text, uint64_t file_size, const std::string& file) {
  if (text.empty() || text.front() != '{') {
    throw FileError(fmt::format("{}: the header must start with '{{' at byte {}; found {}", file, kLengthBytes,
                                text.empty() ? "nothing" : shown(text.substr(0, 1))));
  }
  // The parser takes a zero for the end of its input, and would pass over all that follows.
  if (const size_t zero = text.find('\0'); zero != text.npos) {
    throw FileError(fmt::format("{}: the header is not valid JSON: it holds a zero at byte {} of the file", file,
                                kLengthBytes + zero));
  }
  HeaderReader reader(file);
  json::sax_parse(text.begin(), text.end(), &reader);
  Header header = reader.take();
  auto& entries = header.entries;
  std::sort(entries.begin(), entries.end(),
            [](const Entry& a, const Entry& b) { return std::tie(a.begin, a.end) < std::tie(b.begin, b.end); });

  const uint64_t data_bytes = file_size - kLengthBytes - text.size();
  uint64_t previous = 0;
  for (const Entry& entry : entries) {
    const auto fail = [&](const std::string& what) {
      throw FileError(fmt::format("{}: tensor {}, bytes {} to {} of the data: {}", file, shown(entry.name), entry.begin,
                                  entry.end, what));
    };
    if (entry.end < entry.begin) fail("ends before it begins");
    if (entry.begin > previous) fail(fmt::format("leaves a hole: expected to begin at {}", previous));
    if (entry.begin < previous) fail(fmt::format("overlaps another: expected to begin at {}", previous));
    const uint64_t bytes = checked_bytes(entry, file);
    if (entry.end - entry.begin != bytes) {
      fail(fmt::format("its shape and dtype {} need {} bytes, it has {}", info(entry.dtype).name, bytes,
                       entry.end - entry.begin));
    }
    if (entry.end > data_bytes) fail(fmt::format("truncated: the file has {} bytes of data", data_bytes));
    previous = entry.end;
  }
  if (previous != data_bytes) {
    throw FileError(fmt::format("{}: the tensors fill {} bytes, the file has {} bytes of data: {} too many at its end",
                                file, previous, data_bytes, data_bytes - previous));
  }
  check_names(header, file);
  return header;
}

std::string lay_out(Header& header, const std::string& file) {
  auto& entries = header.entries;
  check_names(header, file);
  std::sort(entries.begin(), entries.end(),
            [](const Entry& a, const Entry& b) { return a.dtype != b.dtype ? a.dtype > b.dtype : a.name < b.name; });
  std::string text = "{";
  if (!header.metadata.empty()) {
    text += fmt::format("\"{}\":{}", kMetadata, json_text(header.metadata, file, "the metadata"));
  }
  uint64_t offset = 0;
  for (Entry& entry : entries) {
    if (entry.name == kMetadata) throw FileError(fmt::format("{}: no tensor can be named {}", file, kMetadata));
    entry.begin = offset;
    entry.end = offset += checked_bytes(entry, file);
    text += fmt::format("{}{}:{{\"dtype\":\"{}\",\"shape\":[{}],\"data_offsets\":[{},{}]}}", text.size() > 1 ? "," : "",
                        json_text(entry.name, file, "the name " + shown(entry.name)), info(entry.dtype).name,
                        fmt::join(entry.shape, ","), entry.begin, entry.end);
  }
  text += '}';
  text.append((8 - text.size() % 8) % 8, ' ');
  if (text.size() > kMaxHeaderBytes) {
    throw FileError(fmt::format("{}: the names and shapes need {} bytes; a header has at most {}", file, text.size(),
                                kMaxHeaderBytes));
  }
  const uint64_t bytes = text.size();
  return std::string(reinterpret_cast<const char*>(&bytes), kLengthBytes) + text;
}

}  // namespace perceive::io::safetensors
