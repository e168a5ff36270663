// Reading zip archives.
#include "perceive/io/formats/zip.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <cstring>

#include "perceive/core/error.h"
#include "perceive/core/text.h"
#include "perceive/io/formats/zip_records.h"

namespace perceive::io::zip {
namespace {

using core::in_quotes;

constexpr uint64_t kLongestComment = 65535;
constexpr uint16_t kEncrypted = 1, kSizesFollow = 8;

template <class Number>
Number number(std::string_view text, size_t at) {
  Number value;
  std::memcpy(&value, text.data() + at, sizeof value);
  return value;
}

// Why a name must not stand in an archive, or nothing.
const char* objection(std::string_view name) {
  if (name.empty()) return "is empty";
  if (name.front() == '/' || name.find('\\') != name.npos) return "is not relative";
  if (name.find('\0') != name.npos) return "holds a zero";
  for (size_t begin = 0; begin <= name.size();) {
    const size_t end = std::min(name.find('/', begin), name.size());
    if (name.substr(begin, end - begin) == "..") return "leads out of the archive";
    begin = end + 1;
  }
  return nullptr;
}

}  // namespace

// Where the directory lies, and what it should hold.
struct Archive::Directory {
  uint64_t entries = 0, bytes = 0, begin = 0;
};

Archive::Archive(Bytes file) : file_(std::move(file)) {
  read_directory(find_directory());
}

void Archive::fail(const std::string& what) const {
  throw core::FileError(fmt::format("{}: {}", file_.name, what));
}

std::string Archive::text(uint64_t offset, uint64_t bytes) const {
  std::string text(bytes, '\0');
  file_.read(offset, text.data(), bytes);
  return text;
}

Archive::Directory Archive::find_directory() const {
  if (file_.size < kEndBytes) {
    fail(fmt::format("not a zip archive: expected at least {} bytes, found {}", kEndBytes, file_.size));
  }
  // The last end mark whose comment reaches the end of the file.
  const uint64_t tail_bytes = std::min(file_.size, kEndBytes + kLongestComment);
  const std::string tail = text(file_.size - tail_bytes, tail_bytes);
  uint64_t at = tail.size() - kEndBytes;
  while (number<uint32_t>(tail, at) != kEndMark || at + kEndBytes + number<uint16_t>(tail, at + 20) != tail.size()) {
    if (at-- == 0) fail("truncated, or not a zip archive: it does not end with the end of a zip directory");
  }
  const std::string_view end = std::string_view(tail).substr(at, kEndBytes);
  uint64_t end_offset = file_.size - tail_bytes + at;
  const bool one_disk = number<uint16_t>(end, 4) == number<uint16_t>(end, 6) &&
                        (number<uint16_t>(end, 4) == 0 || number<uint16_t>(end, 4) == kIn64);
  if (!one_disk) fail("a zip archive of several disks, which is not supported");

  Directory directory{number<uint16_t>(end, 10), number<uint32_t>(end, 12), number<uint32_t>(end, 16)};
  const std::string locator = end_offset >= kLocatorBytes ? text(end_offset - kLocatorBytes, kLocatorBytes) : "";
  if (!locator.empty() && number<uint32_t>(locator, 0) == kLocatorMark) {
    const auto place = number<uint64_t>(locator, 8);
    if (end_offset < kLocatorBytes + kEnd64Bytes || place > end_offset - kLocatorBytes - kEnd64Bytes) {
      fail(fmt::format("the zip64 end of the directory is said to be at byte {}, past where it can be", place));
    }
    const std::string end64 = text(place, kEnd64Bytes);
    if (number<uint32_t>(end64, 0) != kEnd64Mark) {
      fail(fmt::format("expected the zip64 end of the directory at byte {}; found something else", place));
    }
    const Directory wide{number<uint64_t>(end64, 32), number<uint64_t>(end64, 40), number<uint64_t>(end64, 48)};
    const auto differs = [](uint64_t narrow, uint64_t escape, uint64_t value) {
      return narrow != escape && narrow != value;
    };
    if (differs(directory.entries, kIn64, wide.entries) || differs(directory.bytes, kIn64Wide, wide.bytes) ||
        differs(directory.begin, kIn64Wide, wide.begin)) {
      fail("the zip64 end of the directory contradicts the one behind it");
    }
    directory = wide;
    end_offset = place;
  }
  if (directory.begin > end_offset || directory.bytes != end_offset - directory.begin) {
    fail(fmt::format("truncated or damaged: the zip directory must fill the file from byte {} to {}; it has {} bytes",
                     directory.begin, end_offset, directory.bytes));
  }
  if (directory.entries > directory.bytes / kEntryBytes) {
    fail(fmt::format("announces {} entries in a zip directory of {} bytes", directory.entries, directory.bytes));
  }
  return directory;
}

void Archive::read_directory(const Directory& directory) {
  const std::string all = text(directory.begin, directory.bytes);
  std::vector<std::pair<uint64_t, size_t>> headers;  // where the header of which entry begins
  size_t at = 0;
  for (uint64_t i = 0; i < directory.entries; ++i) {
    if (all.size() - at < kEntryBytes || number<uint32_t>(all, at) != kEntryMark) {
      fail(fmt::format("expected entry {} of the zip directory at byte {}; found something else", i,
                       directory.begin + at));
    }
    const std::string_view fixed = std::string_view(all).substr(at, kEntryBytes);
    const size_t name_bytes = number<uint16_t>(fixed, 28), extra_bytes = number<uint16_t>(fixed, 30);
    const size_t bytes = kEntryBytes + name_bytes + extra_bytes + number<uint16_t>(fixed, 32);
    if (all.size() - at < bytes) fail(fmt::format("entry {} of the zip directory is cut", i));
    Entry entry{.name = all.substr(at + kEntryBytes, name_bytes),
                .size = number<uint32_t>(fixed, 24),
                .packed = number<uint32_t>(fixed, 20),
                .crc = number<uint32_t>(fixed, 16)};
    uint64_t header = number<uint32_t>(fixed, 42);
    const auto refuse = [&](const std::string& what) { fail("entry " + in_quotes(entry.name) + " " + what); };
    if (const char* why = objection(entry.name)) refuse(why);
    if (number<uint16_t>(fixed, 8) & kEncrypted) refuse("is encrypted, which is not supported");
    const auto method = number<uint16_t>(fixed, 10);
    if (method != kStored && method != kDeflated) {
      refuse(fmt::format("is packed by method {}; expected 0, stored, or 8, deflated", method));
    }
    entry.deflated = method == kDeflated;

    std::string_view extra = std::string_view(all).substr(at + kEntryBytes + name_bytes, extra_bytes);
    while (extra.size() >= 4) {
      const auto tag = number<uint16_t>(extra, 0);
      const size_t length = number<uint16_t>(extra, 2);
      if (length > extra.size() - 4) refuse("has an extra field that is cut");
      std::string_view field = extra.substr(4, length);
      extra.remove_prefix(4 + length);
      if (tag != kWideField) continue;
      for (uint64_t* value : {&entry.size, &entry.packed, &header}) {
        if (*value != kIn64Wide) continue;
        if (field.size() < 8) refuse("has a zip64 field that is cut");
        *value = number<uint64_t>(field, 0);
        field.remove_prefix(8);
      }
    }
    if (!entry.deflated && entry.size != entry.packed) {
      refuse(fmt::format("is stored, yet has {} bytes for a content of {}", entry.packed, entry.size));
    }
    if (entry.deflated && entry.size / kMostExpansion > entry.packed) {
      refuse(
          fmt::format("announces {} bytes in {} deflated ones, more than {} times as many: save it again without "
                      "compression",
                      entry.size, entry.packed, kMostExpansion));
    }
    headers.emplace_back(header, entries_.size());
    entries_.push_back(std::move(entry));
    at += bytes;
  }
  if (at != all.size()) fail(fmt::format("has {} bytes between its zip directory and its end", all.size() - at));

  std::sort(headers.begin(), headers.end());
  for (size_t i = 0; i < headers.size(); ++i) {
    const uint64_t end = i + 1 < headers.size() ? std::min(headers[i + 1].first, directory.begin) : directory.begin;
    find_data(entries_[headers[i].second], headers[i].first, end);
  }
  index_.reserve(entries_.size());
  for (size_t i = 0; i < entries_.size(); ++i) {
    if (!index_.emplace(entries_[i].name, i).second) fail("entry " + in_quotes(entries_[i].name) + " comes twice");
  }
}

// By the entry's own header, which must repeat the directory. The data must end at `end`, or before.
void Archive::find_data(Entry& entry, uint64_t header, uint64_t end) const {
  const auto refuse = [&](const std::string& what) { fail("entry " + in_quotes(entry.name) + " " + what); };
  const uint64_t least = kHeaderBytes + entry.name.size();
  if (header > end || end - header < least) refuse(fmt::format("at byte {} overlaps what follows", header));
  const std::string start = text(header, least);
  if (number<uint32_t>(start, 0) != kHeaderMark) refuse(fmt::format("has no header at byte {}", header));
  const bool same = number<uint16_t>(start, 26) == entry.name.size() && start.substr(kHeaderBytes) == entry.name &&
                    number<uint16_t>(start, 8) == (entry.deflated ? kDeflated : kStored);
  // Sizes of 0 and wide ones stand elsewhere: behind the data, or in a zip64 field.
  const auto agrees = [&](size_t at, uint64_t value) {
    const auto own = number<uint32_t>(start, at);
    return own == value || own == kIn64Wide || (own == 0 && (number<uint16_t>(start, 6) & kSizesFollow));
  };
  if (!same || !agrees(14, entry.crc) || !agrees(18, entry.packed) || !agrees(22, entry.size)) {
    refuse(fmt::format("has a header at byte {} that contradicts the zip directory", header));
  }
  entry.begin = header + least + number<uint16_t>(start, 28);
  if (entry.begin > end || entry.packed > end - entry.begin) {
    refuse(fmt::format("of {} bytes at byte {} overlaps what follows at {}", entry.packed, entry.begin, end));
  }
}

const Entry* Archive::find(std::string_view name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &entries_[found->second];
}

void Archive::read(const Entry& entry, void* to) const {
  if (entry.deflated) {
    inflate(entry, to);
  } else {
    file_.read(entry.begin, to, entry.size);
  }
  const auto crc = static_cast<uint32_t>(::crc32_z(0, static_cast<const Bytef*>(to), entry.size));
  if (crc != entry.crc) {
    fail(fmt::format("entry {} is damaged: expected the checksum {:08x}, found {:08x}", in_quotes(entry.name),
                     entry.crc, crc));
  }
}

std::string Archive::read(const Entry& entry) const {
  std::string content(entry.size, '\0');
  read(entry, content.data());
  return content;
}

void Archive::inflate(const Entry& entry, void* to) const {
  constexpr uint64_t kPiece = 1 << 16, kMostOut = 1 << 30;
  z_stream stream{};
  if (::inflateInit2(&stream, -MAX_WBITS) != Z_OK) fail("zlib cannot be set up: is there any memory left?");
  struct End {
    z_stream& stream;
    ~End() { ::inflateEnd(&stream); }
  } end{stream};
  std::string piece;
  uint64_t taken = 0, made = 0;
  int state = Z_OK;
  while (state == Z_OK) {
    if (stream.avail_in == 0 && taken < entry.packed) {
      piece = text(entry.begin + taken, std::min(kPiece, entry.packed - taken));
      taken += piece.size();
      stream.next_in = reinterpret_cast<Bytef*>(piece.data());
      stream.avail_in = static_cast<uInt>(piece.size());
    }
    Bytef nothing;  // zlib wants an address even where no byte is expected
    const auto room = static_cast<uInt>(std::min(kMostOut, entry.size - made));
    stream.next_out = room == 0 ? &nothing : static_cast<Bytef*>(to) + made;
    stream.avail_out = room;
    state = ::inflate(&stream, Z_NO_FLUSH);
    made += room - stream.avail_out;
  }
  if (state != Z_STREAM_END || made != entry.size || taken != entry.packed || stream.avail_in != 0) {
    fail(fmt::format("entry {} is damaged: its deflated bytes do not give the {} expected, only {}",
                     in_quotes(entry.name), entry.size, made));
  }
}

}  // namespace perceive::io::zip
