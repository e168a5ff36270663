// The entries of a safetensors file as libtorch knows them.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "perceive/io/files.h"
#include "perceive/io/formats/safetensors.h"

namespace perceive::io {

struct TensorEntries {
  safetensors::Header header;
  uint64_t data = 0;  // where the tensors' bytes begin in the file
};
// Throws core::FileError where the file breaks a rule of the format.
TensorEntries read_entries(const InputFile& file);

// Throws core::FileError for a dtype that libtorch has no like of.
at::ScalarType scalar_type(const safetensors::Entry& entry, const std::string& file);
// Nothing where the format has no dtype of this kind.
std::optional<safetensors::Dtype> dtype_of(at::ScalarType type);

// libtorch computes with bools as they are: throws core::FileError where one of `tensor` is neither 0 nor 1.
void check_bools(std::span<const uint8_t> bytes, const std::string& tensor, const std::string& file);

}  // namespace perceive::io
