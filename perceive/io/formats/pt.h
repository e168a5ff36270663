// PyTorch's checkpoints (.pt, .pth, .bin, .ckpt), as torch.save has written them since version 1.6: which tensors they
// hold, where those lie, and all else as plain values. No libtorch here, and nothing a file names is ever run.
//
// Format (torch/serialization.py and caffe2/serialize/inline_container.h, PyTorch 1.6 to 2.15): a zip archive whose one
// folder holds `data.pkl`, a pickle that refers to storages by key; `data/<key>`, their bytes; `version`; and,
// since 2.1, `byteorder`.
//
// The state dict is the mapping under the first of the keys `state_dict`, `model_state_dict`, `model`, `module`, `net`
// of the file's mapping that has a tensor among its values (Lightning's is the first), and else all that the file
// holds. Mappings and lists in it are flattened: the names of tensors are keys and indices joined by '.'. All in it
// must be plain values and dense tensors; whatever else needs a class or function of Python is an error that names it.
// What stands beside the state dict may be anything: of unknown classes, the name is kept.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "perceive/io/formats/bytes.h"
#include "perceive/io/formats/zip.h"

namespace perceive::io::pt {

enum class Dtype {
  boolean,
  uint8,
  int8,
  int16,
  int32,
  int64,
  uint16,
  uint32,
  uint64,
  float16,
  bfloat16,
  float32,
  float64,
  complex32,
  complex64,
  complex128,
  float8_e4m3fn,
  float8_e4m3fnuz,
  float8_e5m2,
  float8_e5m2fnuz,
  float8_e8m0fnu,
};
struct DtypeInfo {
  Dtype dtype;
  const char* name;     // of torch.<name>
  const char* storage;  // of the class torch.<storage>; null for those that only untyped storages hold
  uint64_t bytes;
};
inline constexpr std::array<DtypeInfo, 21> kDtypes{{
    {Dtype::boolean, "bool", "BoolStorage", 1},
    {Dtype::uint8, "uint8", "ByteStorage", 1},
    {Dtype::int8, "int8", "CharStorage", 1},
    {Dtype::int16, "int16", "ShortStorage", 2},
    {Dtype::int32, "int32", "IntStorage", 4},
    {Dtype::int64, "int64", "LongStorage", 8},
    {Dtype::uint16, "uint16", nullptr, 2},
    {Dtype::uint32, "uint32", nullptr, 4},
    {Dtype::uint64, "uint64", nullptr, 8},
    {Dtype::float16, "float16", "HalfStorage", 2},
    {Dtype::bfloat16, "bfloat16", "BFloat16Storage", 2},
    {Dtype::float32, "float32", "FloatStorage", 4},
    {Dtype::float64, "float64", "DoubleStorage", 8},
    {Dtype::complex32, "complex32", nullptr, 4},
    {Dtype::complex64, "complex64", "ComplexFloatStorage", 8},
    {Dtype::complex128, "complex128", "ComplexDoubleStorage", 16},
    {Dtype::float8_e4m3fn, "float8_e4m3fn", nullptr, 1},
    {Dtype::float8_e4m3fnuz, "float8_e4m3fnuz", nullptr, 1},
    {Dtype::float8_e5m2, "float8_e5m2", nullptr, 1},
    {Dtype::float8_e5m2fnuz, "float8_e5m2fnuz", nullptr, 1},
    {Dtype::float8_e8m0fnu, "float8_e8m0fnu", nullptr, 1},
}};
constexpr const DtypeInfo& info(Dtype dtype) {
  return kDtypes[static_cast<size_t>(dtype)];
}

// Lies within its storage: checked by the reader, up to the writer's caller.
struct Tensor {
  std::string name;
  Dtype dtype = Dtype::float32;
  std::vector<int64_t> shape, strides;  // strides and offset in elements, none negative
  int64_t offset = 0;
  size_t storage = 0;  // index; tied tensors have the same
};

// A file whose tensors have been found and checked, but not read.
class Checkpoint {
 public:
  // Throws core::FileError naming file, place and reason, with advice for what another version of torch wrote.
  explicit Checkpoint(Bytes file);
  ~Checkpoint();
  Checkpoint(const Checkpoint&) = delete;
  Checkpoint& operator=(const Checkpoint&) = delete;

  const std::vector<Tensor>& tensors() const { return tensors_; }  // in the order of the file, no name twice
  // All that is no tensor, in the places where it stands: numbers, strings, lists and objects. What JSON has no like of
  // is a string in angle brackets.
  const nlohmann::json& values() const { return *values_; }

  // Of the storages that the tensors lie in.
  size_t storages() const { return storages_.size(); }
  uint64_t storage_bytes(size_t storage) const { return storages_[storage]->size; }
  void read_storage(size_t storage, void* to) const { archive_.read(*storages_[storage], to); }

 private:
  zip::Archive archive_;
  std::vector<const zip::Entry*> storages_;
  std::vector<Tensor> tensors_;
  std::unique_ptr<nlohmann::json> values_;
};

// Whether a file that starts so is to be read as a checkpoint of PyTorch, also where only to be refused with advice: a
// zip archive, a pickle (`torch.save` before 1.6), a tar archive (before 0.2). `start`: kStartBytes, or all there are.
inline constexpr uint64_t kStartBytes = 512;
bool looks_like(std::string_view start);

}  // namespace perceive::io::pt
