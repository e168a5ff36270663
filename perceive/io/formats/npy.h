// The header of .npy files: checked when it is read. No tensors here.
//
// Format 1.0 to 3.0 (numpy.lib.format): "\x93NUMPY", two bytes of version, the header's length, the header (the text of
// a Python dict with descr, fortran_order and shape), then the numbers. Stricter than numpy: nothing of Python but the
// three keys and their values, no item comes twice, and the numbers fill the file to its end.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace perceive::io::npy {

enum class Dtype { F16, F32, F64 };
struct DtypeInfo {
  Dtype dtype;
  const char* descr;
  uint64_t bytes;
};
inline constexpr std::array<DtypeInfo, 3> kDtypes{
    {{Dtype::F16, "<f2", 2}, {Dtype::F32, "<f4", 4}, {Dtype::F64, "<f8", 8}}};
constexpr const DtypeInfo& info(Dtype dtype) {
  return kDtypes[static_cast<size_t>(dtype)];
}

struct Header {
  Dtype dtype = Dtype::F32;
  std::vector<int64_t> shape;  // C order
  uint64_t data = 0;           // where the numbers begin, in bytes
};

// Of a file's beginning, all that its header may take.
inline constexpr uint64_t kMaxHeaderBytes = 1 << 16;

// `start` is the first kMaxHeaderBytes of a file of `file_size` bytes, or all there are. `file` is for messages. Throws
// core::FileError, also for what can be said in the format but not read here: Fortran order, big-endian numbers, other
// types than these. What returns fits the file to the byte.
Header parse_header(std::string_view start, uint64_t file_size, const std::string& file);

}  // namespace perceive::io::npy
