// Named tensors in files: safetensors, and the checkpoints of PyTorch (docs/weights.md).
//
// Dtypes: bool, (u)int8 to 64, float16, bfloat16, float32, float64, complex64, and the five 8-bit floats; in PyTorch's
// checkpoints complex32 and complex128 too. The sub-byte ones of safetensors are refused by name.
#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <map>
#include <optional>
#include <string>

namespace perceive::io {

using Tensors = std::map<std::string, at::Tensor>;
using Metadata = std::map<std::string, std::string>;

// Reads the whole file into memory of its own; throws core::FileError naming file, entry, expected and found. Its
// content says what it is: safetensors, or a zip archive of torch.save, of which tensors keep their strides and those
// that were tied share their memory. A name that ends in .index.json is that of an index of several such files beside
// it.
Tensors load_tensors(const std::filesystem::path& file, Metadata* metadata = nullptr);
// Writes whole or not at all (temporary file, fsync, rename). Tensors of any strides; CPU or not. A name that ends in
// .pt, .pth, .bin or .ckpt asks for a checkpoint that torch.load opens, where shared memory is written once and stays
// shared; any other for safetensors, which have each tensor by itself.
void save_tensors(const std::filesystem::path& file, const Tensors& tensors, const Metadata& metadata = {});

// What a model computes in with these: float64 where a tensor of them is, else float32; nothing where none holds real
// numbers.
std::optional<at::ScalarType> precision(const Tensors& tensors);

}  // namespace perceive::io
