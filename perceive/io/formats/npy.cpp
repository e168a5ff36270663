// Reading the header of .npy files.
#include "perceive/io/formats/npy.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <limits>
#include <optional>

#include "perceive/core/error.h"

namespace perceive::io::npy {
namespace {

static_assert(std::endian::native == std::endian::little, "numbers are mapped as they are");

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr size_t kMostAxes = 64;  // numpy's own limit
constexpr uint64_t kMaxSize = std::numeric_limits<int64_t>::max();

// Printable ASCII only, and not much of it: for messages.
std::string shown(std::string_view text) {
  constexpr size_t kLongest = 40;
  std::string result;
  for (const char c : text.substr(0, kLongest)) {
    const bool plain = c >= ' ' && c <= '~';
    result += plain ? std::string(1, c) : fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
  }
  return "`" + result + (text.size() > kLongest ? "…`" : "`");
}

// The dict, a token at a time.
class DictReader {
 public:
  DictReader(std::string_view text, uint64_t offset, const std::string& file)
      : text_(text), offset_(offset), file_(file) {}

  Header read() {
    expect('{', "a dict, `{`");
    while (!accept('}')) {
      const std::string_view key = quoted("one of the keys 'descr', 'fortran_order', 'shape'");
      expect(':', "`:`");
      if (key == "descr") {
        once(dtype_.has_value(), key);
        dtype_ = dtype();
      } else if (key == "fortran_order") {
        once(ordered_, key);
        read_order();
      } else if (key == "shape") {
        once(shape_.has_value(), key);
        shape_ = shape();
      } else {
        fail("the key " + shown(key) + " is none of 'descr', 'fortran_order', 'shape'");
      }
      if (accept(',')) continue;
      expect('}', "`,` or `}`");
      break;
    }
    skip_blanks();
    if (next_ != text_.size()) unexpected("nothing after the dict");
    if (!dtype_) fail("the key 'descr' is missing");
    if (!ordered_) fail("the key 'fortran_order' is missing");
    if (!shape_) fail("the key 'shape' is missing");
    return {*dtype_, std::move(*shape_)};
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw core::FileError(fmt::format("{}: the .npy header: {}", file_, what));
  }
  [[noreturn]] void unexpected(std::string_view expected) const {
    fail(fmt::format("expected {} at byte {} of the file; found {}", expected, offset_ + next_,
                     next_ < text_.size() ? shown(text_.substr(next_)) : "its end"));
  }
  void once(bool seen, std::string_view key) const {
    if (seen) fail(fmt::format("the key '{}' comes twice", key));
  }

  void skip_blanks() { next_ = std::min(text_.find_first_not_of(" \t\n\r", next_), text_.size()); }
  bool accept(char c) {
    skip_blanks();
    if (next_ == text_.size() || text_[next_] != c) return false;
    ++next_;
    return true;
  }
  void expect(char c, std::string_view expected) {
    if (!accept(c)) unexpected(expected);
  }
  std::string_view quoted(std::string_view expected) {
    const char quote = accept('\'') ? '\'' : '"';
    if (quote == '"') expect('"', expected);
    const size_t end = text_.find(quote, next_);
    if (end == text_.npos) unexpected("the end of a string");
    const auto text = text_.substr(next_, end - next_);
    if (text.find_first_of("\\\n") != text.npos) unexpected("a string without escapes");
    next_ = end + 1;
    return text;
  }

  Dtype dtype() {
    skip_blanks();
    if (next_ < text_.size() && text_[next_] == '[') {
      fail("the numbers are records, a structured dtype; expected one of '<f2', '<f4', '<f8'");
    }
    const auto text = quoted("a string that names the dtype");
    const auto found = std::find_if(kDtypes.begin(), kDtypes.end(), [&](const auto& d) { return d.descr == text; });
    if (found != kDtypes.end()) return found->dtype;
    fail(fmt::format("expected one of the dtypes '<f2', '<f4', '<f8'; found {}{}", shown(text),
                     text.starts_with('>')         ? ", which is big-endian"
                     : text.find('O') != text.npos ? ", which is of Python objects"
                                                   : ""));
  }

  void read_order() {
    skip_blanks();
    if (text_.substr(next_).starts_with("True")) {
      fail(
          "the array is in Fortran order, its first axis fastest; expected C order: save numpy.ascontiguousarray of "
          "it");
    }
    if (!text_.substr(next_).starts_with("False")) unexpected("True or False");
    next_ += std::string_view("False").size();
    ordered_ = true;
  }

  std::vector<int64_t> shape() {
    std::vector<int64_t> sizes;
    expect('(', "a tuple of sizes, `(`");
    while (!accept(')')) {
      if (sizes.size() == kMostAxes) fail(fmt::format("the shape has more than {} axes", kMostAxes));
      sizes.push_back(size());
      if (accept(',')) continue;
      if (sizes.size() == 1) unexpected("`,`: a tuple of one size is written (n,)");
      expect(')', "`,` or `)`");
      break;
    }
    return sizes;
  }

  int64_t size() {
    skip_blanks();
    const size_t begin = next_;
    uint64_t value = 0;
    while (next_ < text_.size() && text_[next_] >= '0' && text_[next_] <= '9') {
      const auto digit = static_cast<uint64_t>(text_[next_++] - '0');
      if (value > (kMaxSize - digit) / 10) fail("a size exceeds 2^63 - 1");
      value = 10 * value + digit;
    }
    if (next_ == begin) unexpected("a size, a whole number from 0");
    if (text_[begin] == '0' && next_ - begin > 1) {
      next_ = begin;
      unexpected("a size without zeros in front");
    }
    return static_cast<int64_t>(value);
  }

  std::string_view text_;
  uint64_t offset_;
  const std::string& file_;
  size_t next_ = 0;
  std::optional<Dtype> dtype_;
  bool ordered_ = false;
  std::optional<std::vector<int64_t>> shape_;
};

// Bytes of the numbers. Axes of length 0 count as 1 against overflow: strides must be numbers too.
uint64_t checked_bytes(const Header& header, const std::string& file) {
  uint64_t bytes = info(header.dtype).bytes;
  bool empty = false;
  for (const int64_t size : header.shape) {
    empty = empty || size == 0;
    if (__builtin_mul_overflow(bytes, static_cast<uint64_t>(std::max<int64_t>(size, 1)), &bytes) || bytes > kMaxSize) {
      throw core::FileError(fmt::format("{}: the .npy header: an array of the shape ({}) overflows", file,
                                        fmt::join(header.shape, ", ")));
    }
  }
  return empty ? 0 : bytes;
}

}  // namespace

Header parse_header(std::string_view start, uint64_t file_size, const std::string& file) {
  const auto refuse = [&](const std::string& what) { throw core::FileError(fmt::format("{}: {}", file, what)); };
  const auto byte = [&](size_t at) { return static_cast<uint64_t>(static_cast<unsigned char>(start[at])); };
  if (!start.starts_with(kMagic)) {
    refuse("not an .npy file: expected it to begin with \\x93NUMPY; found " +
           (start.empty() ? "nothing" : shown(start.substr(0, kMagic.size()))));
  }
  constexpr size_t kVersion = kMagic.size(), kLength = kVersion + 2;
  const uint64_t length_bytes = start.size() > kVersion && byte(kVersion) == 1 ? 2 : 4, text = kLength + length_bytes;
  if (start.size() < text) refuse(fmt::format("truncated: an .npy file needs {} bytes, it has {}", text, file_size));
  if (byte(kVersion) < 1 || byte(kVersion) > 3 || byte(kVersion + 1) != 0) {
    refuse(fmt::format("expected .npy format 1.0, 2.0 or 3.0; found {}.{}", byte(kVersion), byte(kVersion + 1)));
  }
  uint64_t length = 0;
  for (size_t i = 0; i < length_bytes; ++i) length |= byte(kLength + i) << (8 * i);
  if (length > kMaxHeaderBytes - text) {
    refuse(fmt::format("announces an .npy header of {} bytes; at most {}", length, kMaxHeaderBytes - text));
  }
  if (length > start.size() - text) {
    refuse(fmt::format("truncated: the .npy header needs {} bytes after the first {}, the file has {}", length, text,
                       start.size() - text));
  }
  Header header = DictReader(start.substr(text, length), text, file).read();
  header.data = text + length;
  const uint64_t expected = checked_bytes(header, file), found = file_size - header.data;
  if (found != expected) {
    refuse(fmt::format("{}: ({}) numbers of '{}' need {} bytes after the header, the file has {}",
                       found < expected ? "truncated" : "too long", fmt::join(header.shape, ", "),
                       info(header.dtype).descr, expected, found));
  }
  return header;
}

}  // namespace perceive::io::npy
