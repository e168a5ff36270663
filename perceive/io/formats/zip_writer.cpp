// Writing zip archives.
#include "perceive/io/formats/zip_writer.h"

#include <zlib.h>

#include <algorithm>

#include "perceive/io/formats/zip_records.h"

namespace perceive::io::zip {
namespace {

constexpr uint16_t kVersion = 45;  // the first with zip64
constexpr uint16_t kUtf8Names = 0x800;
constexpr uint32_t kDate = 0x00210000;  // 1980-01-01 0:00, the first there is
constexpr uint16_t kPadding = 0x4246;   // the extra field "FB", by which torch aligns

void put16(std::string& text, uint64_t value) {
  text.append(reinterpret_cast<const char*>(&value), 2);
}
void put32(std::string& text, uint64_t value) {
  text.append(reinterpret_cast<const char*>(&value), 4);
}
void put64(std::string& text, uint64_t value) {
  text.append(reinterpret_cast<const char*>(&value), 8);
}
bool is_wide(uint64_t value) {
  return value >= kIn64Wide;
}
uint64_t narrow(uint64_t value) {
  return std::min<uint64_t>(value, kIn64Wide);
}

}  // namespace

void Writer::write(std::string_view bytes) {
  sink_(bytes);
  written_ += bytes.size();
}

void Writer::add(const std::string& name, std::string_view content) {
  const uint64_t begin = written_, size = content.size();
  const uint64_t crc = ::crc32_z(0, reinterpret_cast<const Bytef*>(content.data()), content.size());
  const auto common = [&](std::string& record) {
    put16(record, kVersion);
    put16(record, kUtf8Names);
    put16(record, kStored);
    put32(record, kDate);
    put32(record, crc);
    put32(record, narrow(size));
    put32(record, narrow(size));
    put16(record, name.size());
  };
  const auto field64 = [](const std::vector<uint64_t>& values) {
    std::string field;
    if (values.empty()) return field;
    put16(field, kWideField);
    put16(field, 8 * values.size());
    for (const uint64_t value : values) put64(field, value);
    return field;
  };

  std::string extra = is_wide(size) ? field64({size, size}) : "";
  constexpr uint64_t kFieldBytes = 4;
  const uint64_t unaligned = begin + kHeaderBytes + name.size() + extra.size() + kFieldBytes;
  const uint64_t padding = (kAlignment - unaligned % kAlignment) % kAlignment;
  put16(extra, kPadding);
  put16(extra, padding);
  extra.append(padding, 'Z');
  std::string header;
  put32(header, kHeaderMark);
  common(header);
  put16(header, extra.size());
  write(header + name + extra);
  write(content);

  std::vector<uint64_t> wide;
  if (is_wide(size)) wide = {size, size};
  if (is_wide(begin)) wide.push_back(begin);
  const std::string wide_field = field64(wide);
  put32(directory_, kEntryMark);
  put16(directory_, kVersion);
  common(directory_);
  put16(directory_, wide_field.size());
  put16(directory_, 0);  // no comment
  put16(directory_, 0);  // disk
  put16(directory_, 0);  // attributes
  put32(directory_, 0);
  put32(directory_, narrow(begin));
  directory_ += name + wide_field;
  ++entries_;
}

void Writer::finish() {
  const uint64_t begin = written_, bytes = directory_.size();
  write(directory_);
  std::string end;
  if (entries_ >= kIn64 || is_wide(begin) || is_wide(bytes)) {
    const uint64_t place = written_;
    put32(end, kEnd64Mark);
    put64(end, kEnd64Bytes - 12);  // of the record, behind this number
    put16(end, kVersion);
    put16(end, kVersion);
    put32(end, 0);  // disk
    put32(end, 0);
    put64(end, entries_);
    put64(end, entries_);
    put64(end, bytes);
    put64(end, begin);
    put32(end, kLocatorMark);
    put32(end, 0);
    put64(end, place);
    put32(end, 1);  // disks
  }
  put32(end, kEndMark);
  put16(end, 0);
  put16(end, 0);
  put16(end, std::min<uint64_t>(entries_, kIn64));
  put16(end, std::min<uint64_t>(entries_, kIn64));
  put32(end, narrow(bytes));
  put32(end, narrow(begin));
  put16(end, 0);  // no comment
  write(end);
}

}  // namespace perceive::io::zip
