// The records of zip archives that reading and writing share (PKWARE's APPNOTE.TXT 6.3.10, sections 4.3.7 to 4.5.3).
#pragma once

#include <bit>
#include <cstdint>

namespace perceive::io::zip {

static_assert(std::endian::native == std::endian::little, "the numbers of zip files are copied as they are");

inline constexpr uint32_t kHeaderMark = 0x04034b50, kEntryMark = 0x02014b50;
inline constexpr uint32_t kEndMark = 0x06054b50, kEnd64Mark = 0x06064b50, kLocatorMark = 0x07064b50;
// Without what varies in length: names, extra fields, comments.
inline constexpr uint64_t kHeaderBytes = 30, kEntryBytes = 46;
inline constexpr uint64_t kEndBytes = 22, kEnd64Bytes = 56, kLocatorBytes = 20;
// These stand where a number is too large for its place, and is to be found in a zip64 field or record.
inline constexpr uint16_t kIn64 = 0xffff;
inline constexpr uint32_t kIn64Wide = 0xffffffff;
inline constexpr uint16_t kWideField = 1;
inline constexpr uint16_t kStored = 0, kDeflated = 8;

}  // namespace perceive::io::zip
