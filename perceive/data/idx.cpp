// IDX, the file format of MNIST and its relatives: big-endian sizes, then bytes. Plain or gzip.
#include "perceive/data/idx.h"

#include <ATen/ops/empty.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <vector>

#include "perceive/core/error.h"
#include "perceive/data/file.h"

namespace perceive::data {
namespace {

// Deflate cannot do better than 258 bytes for two bits.
constexpr int64_t kMostBytesPerByte = 1032;

// The bytes of a plain or gzip file, one after another.
class Bytes {
 public:
  explicit Bytes(const std::string& path) : path_(path), file_(open_file(path)), input_(1 << 16) {
    refill();
    gzip_ = inflater_.avail_in >= 2 && input_[0] == 0x1f && input_[1] == 0x8b;
    constexpr int kGzipOnly = 16 + MAX_WBITS;
    if (gzip_ && inflateInit2(&inflater_, kGzipOnly) != Z_OK) throw std::bad_alloc();
  }
  ~Bytes() {
    if (gzip_) inflateEnd(&inflater_);
  }
  Bytes(const Bytes&) = delete;
  Bytes& operator=(const Bytes&) = delete;

  // Fills `to` as far as there are bytes, and returns how many there were.
  int64_t read(uint8_t* to, int64_t count) {
    int64_t done = 0;
    while (done < count && !ended_) {
      const auto wanted = static_cast<uInt>(std::min<int64_t>(count - done, 1 << 30));
      const int64_t got = gzip_ ? inflate_some(to + done, wanted) : copy_some(to + done, wanted);
      done += got;
      delivered_ += got;
    }
    return done;
  }

  // More than the whole file can deliver, where its length alone tells.
  bool cannot_hold(int64_t count) const { return gzip_ ? count / kMostBytesPerByte > file_.size : count > file_.size; }
  // Of the file itself, past the end of its gzip stream.
  bool has_more_input() {
    if (inflater_.avail_in == 0) refill();
    return inflater_.avail_in > 0;
  }
  int64_t file_size() const { return file_.size; }

 private:
  void refill() {
    inflater_.next_in = input_.data();
    inflater_.avail_in = static_cast<uInt>(std::fread(input_.data(), 1, input_.size(), file_.stream.get()));
    if (std::ferror(file_.stream.get())) throw core::DataError(fmt::format("{}: read error", path_));
  }

  int64_t copy_some(uint8_t* to, uInt wanted) {
    if (inflater_.avail_in == 0) refill();
    const uInt got = std::min(wanted, inflater_.avail_in);
    std::copy_n(inflater_.next_in, got, to);
    inflater_.next_in += got;
    inflater_.avail_in -= got;
    ended_ = got == 0;
    return got;
  }

  int64_t inflate_some(uint8_t* to, uInt wanted) {
    if (inflater_.avail_in == 0) refill();
    if (inflater_.avail_in == 0) {
      throw core::DataError(
          fmt::format("{}: the gzip stream is cut off after {} bytes, which inflate to {}; fetch the file again", path_,
                      file_.size, delivered_));
    }
    inflater_.next_out = to;
    inflater_.avail_out = wanted;
    const int status = inflate(&inflater_, Z_NO_FLUSH);
    if (status != Z_OK && status != Z_STREAM_END && status != Z_BUF_ERROR) {
      throw core::DataError(fmt::format("{}: the gzip stream is damaged ({}) after {} of {} bytes, which inflate to {}",
                                        path_, inflater_.msg ? inflater_.msg : "no reason given", inflater_.total_in,
                                        file_.size, delivered_));
    }
    ended_ = status == Z_STREAM_END;
    return wanted - inflater_.avail_out;
  }

  std::string path_;
  File file_;
  std::vector<uint8_t> input_;
  z_stream inflater_{};  // its next_in and avail_in serve plain files as well
  bool gzip_ = false;
  bool ended_ = false;
  int64_t delivered_ = 0;
};

}  // namespace

at::Tensor read_idx(const std::string& path, int64_t dimensions) {
  Bytes bytes(path);
  const int64_t header_size = 4 + 4 * dimensions;
  std::vector<uint8_t> header(header_size);
  const int64_t found = bytes.read(header.data(), header_size);
  if (found < header_size) {
    throw core::DataError(
        fmt::format("{}: an IDX file of {} dimensions begins with {} bytes of sizes; there are {} bytes", path,
                    dimensions, header_size, found));
  }
  const std::array<uint8_t, 4> magic{0, 0, 0x08, static_cast<uint8_t>(dimensions)};
  if (!std::equal(magic.begin(), magic.end(), header.begin())) {
    throw core::DataError(
        fmt::format("{}: expected the magic number 0x{:02x} (IDX of unsigned bytes, dimensions: {}), got 0x{:02x}",
                    path, fmt::join(magic, ""), dimensions, fmt::join(header.begin(), header.begin() + 4, "")));
  }

  std::vector<int64_t> sizes;
  int64_t total = 1;
  bool too_many = false;
  for (auto at = header.begin() + 4; at != header.end(); at += 4) {
    sizes.push_back(int64_t{at[0]} << 24 | at[1] << 16 | at[2] << 8 | at[3]);
    too_many = __builtin_mul_overflow(total, sizes.back(), &total) || too_many;
  }
  if (too_many || bytes.cannot_hold(total)) {
    throw core::DataError(fmt::format("{}: announces {} values, more than its {} bytes can hold", path,
                                      fmt::join(sizes, " x "), bytes.file_size()));
  }

  at::Tensor values = at::empty(sizes, at::kByte);
  const int64_t got = bytes.read(values.mutable_data_ptr<uint8_t>(), total);
  if (got < total) {
    throw core::DataError(
        fmt::format("{}: announces {} values = {} bytes, and holds {}", path, fmt::join(sizes, " x "), total, got));
  }
  // The read past the end also makes zlib compare its checksum.
  uint8_t extra = 0;
  if (bytes.read(&extra, 1) > 0 || bytes.has_more_input()) {
    throw core::DataError(fmt::format("{}: there are bytes behind the {} values = {} bytes that it announces", path,
                                      fmt::join(sizes, " x "), total));
  }
  return values;
}

}  // namespace perceive::data
