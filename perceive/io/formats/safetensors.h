// The header of a safetensors file: checked when it is read, laid out when it is written. No tensors here.
//
// Format 0.4 (github.com/huggingface/safetensors, tensor.rs): 8 bytes little-endian N, N bytes of JSON, then the data.
// Stricter than the reference where the reference departs from its own specification: the header starts with `{`, no
// name comes twice, and `__metadata__` is not null.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace perceive::io::safetensors {

// In the order in which a file holds its tensors, last to first: the widest types lie first, so that all are aligned.
enum class Dtype {
  BOOL,
  F4,
  F6_E2M3,
  F6_E3M2,
  U8,
  I8,
  F8_E5M2,
  F8_E4M3,
  F8_E8M0,
  F8_E4M3FNUZ,
  F8_E5M2FNUZ,
  I16,
  U16,
  F16,
  BF16,
  I32,
  U32,
  F32,
  C64,
  F64,
  I64,
  U64,
};
struct DtypeInfo {
  Dtype dtype;
  const char* name;
  uint64_t bits;
};
inline constexpr std::array<DtypeInfo, 22> kDtypes{{
    {Dtype::BOOL, "BOOL", 8},
    {Dtype::F4, "F4", 4},
    {Dtype::F6_E2M3, "F6_E2M3", 6},
    {Dtype::F6_E3M2, "F6_E3M2", 6},
    {Dtype::U8, "U8", 8},
    {Dtype::I8, "I8", 8},
    {Dtype::F8_E5M2, "F8_E5M2", 8},
    {Dtype::F8_E4M3, "F8_E4M3", 8},
    {Dtype::F8_E8M0, "F8_E8M0", 8},
    {Dtype::F8_E4M3FNUZ, "F8_E4M3FNUZ", 8},
    {Dtype::F8_E5M2FNUZ, "F8_E5M2FNUZ", 8},
    {Dtype::I16, "I16", 16},
    {Dtype::U16, "U16", 16},
    {Dtype::F16, "F16", 16},
    {Dtype::BF16, "BF16", 16},
    {Dtype::I32, "I32", 32},
    {Dtype::U32, "U32", 32},
    {Dtype::F32, "F32", 32},
    {Dtype::C64, "C64", 64},
    {Dtype::F64, "F64", 64},
    {Dtype::I64, "I64", 64},
    {Dtype::U64, "U64", 64},
}};
constexpr const DtypeInfo& info(Dtype dtype) {
  return kDtypes[static_cast<size_t>(dtype)];
}

struct Entry {
  std::string name;
  Dtype dtype = Dtype::F32;
  std::vector<int64_t> shape;
  uint64_t begin = 0, end = 0;  // bytes, counted from the end of the header
};
struct Header {
  std::vector<Entry> entries;  // in the order of their bytes, without holes, the first at 0
  std::map<std::string, std::string> metadata;
};

inline constexpr uint64_t kLengthBytes = 8;
inline constexpr uint64_t kMaxHeaderBytes = 100'000'000;

// The N of a file of `file_size` bytes that starts with `first` (8 bytes, or all there are). `file` is for messages.
// Throws core::FileError, as parse_header does.
uint64_t header_bytes(std::string_view first, uint64_t file_size, const std::string& file);
// `json` is the N bytes after the first 8. What returns satisfies every rule of the format.
Header parse_header(std::string_view json, uint64_t file_size, const std::string& file);

// Sorts the entries and gives them their offsets; returns the start of the file, a multiple of 8 bytes long.
// Throws core::FileError for names or metadata that are not UTF-8, or that the format reserves.
std::string lay_out(Header& header, const std::string& file);

// `name` in quotes as JSON writes it, cut if it is long: for messages.
std::string shown(std::string_view name);

}  // namespace perceive::io::safetensors
