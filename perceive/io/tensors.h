// Named tensors in safetensors files.
//
// Dtypes: bool, (u)int8 to 64, float16, bfloat16, float32, float64, complex64, and the five 8-bit floats. The format
// has no others, but for sub-byte ones, which are refused by name.
#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <map>
#include <string>

namespace perceive::io {

using Tensors = std::map<std::string, at::Tensor>;
using Metadata = std::map<std::string, std::string>;

// Reads the whole file into memory of its own; throws core::FileError naming file, entry, expected and found.
Tensors load_tensors(const std::filesystem::path& file, Metadata* metadata = nullptr);
// Writes whole or not at all (temporary file, fsync, rename). Tensors of any strides; CPU or not.
void save_tensors(const std::filesystem::path& file, const Tensors& tensors, const Metadata& metadata = {});

}  // namespace perceive::io
